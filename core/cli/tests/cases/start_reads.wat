;; The start function reads the first bytes of standard input, `_initialize` the next ones, `_start` the rest: those of its own VM.
;;! stdin: start, init, input {n}
;;! stdout: start, init, input {n}
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $end (mut i32) (i32.const 100))
  (func $read (param $most i32)
    (i32.store (i32.const 0) (global.get $end))
    (i32.store (i32.const 4) (local.get $most))
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (global.set $end (i32.add (global.get $end) (i32.load (i32.const 8)))))
  (func $start (call $read (i32.const 7)))
  (start $start)
  (func (export "_initialize") (call $read (i32.const 6)))
  (func (export "_start")
    (call $read (i32.const 50))
    (i32.store (i32.const 0) (i32.const 100))
    (i32.store (i32.const 4) (i32.sub (global.get $end) (i32.const 100)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
