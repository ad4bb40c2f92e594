;; Prints the file that its first argument names, found in the first folder that it was given. Exits with the errno if
;; there is none. A file called `loop` it opens, and then never ends.
(module
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (func $try (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
  (func (export "_start") (local $name i32) (local $end i32)
    (call $try (call $args (i32.const 64) (i32.const 1024)))
    (local.set $name (i32.load (i32.const 68)))
    (local.set $end (local.get $name))
    (loop $longer
      (if (i32.load8_u (local.get $end))
        (then (local.set $end (i32.add (local.get $end) (i32.const 1))) (br $longer))))
    (call $try (call $open (i32.const 3) (i32.const 1) (local.get $name) (i32.sub (local.get $end) (local.get $name))
      (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)))
    (if (i32.eq (i32.load (local.get $name)) (i32.const 0x706f6f6c)) (then (loop $ever (br $ever))))
    (loop $more
      (i32.store (i32.const 16) (i32.const 4096))
      (i32.store (i32.const 20) (i32.const 100000))
      (call $try (call $read (i32.load (i32.const 8)) (i32.const 16) (i32.const 1) (i32.const 20)))
      (if (i32.eqz (i32.load (i32.const 20))) (then (return)))
      ;; A write may be a short one.
      (loop $rest
        (call $try (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 12)))
        (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.load (i32.const 12))))
        (i32.store (i32.const 20) (i32.sub (i32.load (i32.const 20)) (i32.load (i32.const 12))))
        (br_if $rest (i32.load (i32.const 20))))
      (br $more))))
