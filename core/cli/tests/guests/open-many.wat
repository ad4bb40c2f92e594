;; Opens the first folder that it was given, again and again, until that fails. Exits with the number of times if the error
;; is `mfile`, else with the errno.
(module
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) ".")
  (func (export "_start") (local $opened i32) (local $errno i32)
    (loop $more
      (local.set $errno (call $open (i32.const 3) (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0)
        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)))
      (if (i32.eqz (local.get $errno))
        (then (local.set $opened (i32.add (local.get $opened) (i32.const 1))) (br $more))))
    (if (i32.eq (local.get $errno) (i32.const 33)) (then (call $exit (local.get $opened))))
    (call $exit (local.get $errno))))
