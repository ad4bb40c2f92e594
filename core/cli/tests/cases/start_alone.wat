;; No `_start`: the start function and `_initialize` are all there is, and that is no error. They greet, and copy their own input.
;;! stdout: from start\ninput {n}
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\64\00\00\00\0b\00\00\00")
  (data (i32.const 100) "from start\n")
  (func $write (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (start $write)
  (func (export "_initialize")
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
    (call $write))
  (func (export "other") unreachable))
