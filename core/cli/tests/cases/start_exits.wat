;; What the start function writes stands, and its exit code is every input's.
;;! exit: 7
;;! stdout: from start\n
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\64\00\00\00\0b\00\00\00")
  (data (i32.const 100) "from start\n")
  (func $start
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $proc_exit (i32.const 7)))
  (start $start)
  (func (export "_start") (call $proc_exit (i32.const 9))))
