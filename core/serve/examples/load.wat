;; Writes what it reads, in pieces of 61,440 bytes, unless the first byte says otherwise: `l` loops for ever, `u` is
;; unreachable, `r` recurses for ever, `o` writes for ever. If the second is a digit d, it first counts to 4000 * 2^d.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $recurse (param i32) (result i32)
    (i32.add (i32.const 1) (call $recurse (i32.add (local.get 0) (i32.const 1)))))
  (func (export "_start") (local $first i32) (local $work i32)
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (i32.const 61440))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (local.set $first (i32.load8_u (i32.const 4096)))
    (i32.store (i32.const 4) (i32.load (i32.const 8)))
    (local.set $work (i32.sub (i32.load8_u (i32.const 4097)) (i32.const 48)))
    (if (i32.lt_u (local.get $work) (i32.const 10)) (then
      (local.set $work (i32.shl (i32.const 4000) (local.get $work)))
      (loop $count
        ;; So that no compiler knows the end.
        (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (local.get $work)))
        (br_if $count (local.tee $work (i32.sub (local.get $work) (i32.const 1)))))))
    (if (i32.eq (local.get $first) (i32.const 108)) (then (loop (br 0))))
    (if (i32.eq (local.get $first) (i32.const 117)) (then (unreachable)))
    (if (i32.eq (local.get $first) (i32.const 114)) (then (drop (call $recurse (i32.const 0)))))
    (loop $more
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br_if $more (i32.eq (local.get $first) (i32.const 111)))
      (if (i32.eq (i32.load (i32.const 4)) (i32.const 61440)) (then
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.store (i32.const 4) (i32.load (i32.const 8)))
        (br_if $more (i32.load (i32.const 8))))))))
