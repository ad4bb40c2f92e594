;; A start function that never ends, whatever the input: what it wrote is every input's, and so is its end.
;;! options: --timeout 300ms
;;! stderr: at start\n
;;! error: out of time
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\64\00\00\00\09\00\00\00")
  (data (i32.const 100) "at start\n")
  (func $start
    (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
    (loop $more (br $more)))
  (start $start)
  (func (export "_start")))
