;; Writes what it reads, unless the first byte says otherwise: `l` loops for ever, `u` is unreachable, `r` recurses for
;; ever, `o` writes for ever.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func $recurse (param i32) (result i32)
    (i32.add (i32.const 1) (call $recurse (i32.add (local.get 0) (i32.const 1)))))
  (func (export "_start") (local $first i32)
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (i32.const 65536))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (local.set $first (i32.load8_u (i32.const 4096)))
    (i32.store (i32.const 4) (i32.load (i32.const 8)))
    (if (i32.eq (local.get $first) (i32.const 108)) (then (loop (br 0))))
    (if (i32.eq (local.get $first) (i32.const 117)) (then (unreachable)))
    (if (i32.eq (local.get $first) (i32.const 114)) (then (drop (call $recurse (i32.const 0)))))
    (loop $more
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br_if $more (i32.eq (local.get $first) (i32.const 111))))))
