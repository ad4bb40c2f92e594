;; Opens `f` in the first folder that it was given, reads a byte, and then answers each request with the next four bytes.
;; After the request `trap` it reads where there is no memory.
(module
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "env" "serverless_invoke" (func $invoke (param i32 i32) (result i32)))
  (import "env" "serverless_response" (func $response (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "f")
  (func $reads (param $bytes i32)
    (i32.store (i32.const 16) (i32.const 64))
    (i32.store (i32.const 20) (local.get $bytes))
    (if (call $read (i32.load (i32.const 8)) (i32.const 16) (i32.const 1) (i32.const 24)) (then (unreachable))))
  (func (export "_start")
    (if (call $open (i32.const 3) (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0)
        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8))
      (then (unreachable)))
    (call $reads (i32.const 1))
    (loop $next
      (drop (call $invoke (i32.const 128) (i32.const 100)))
      (call $reads (i32.const 4))
      (if (i32.eq (i32.load (i32.const 128)) (i32.const 0x70617274)) ;; "trap"
        (then (drop (i32.load (i32.const 65536)))))
      (call $response (i32.const 64) (i32.load (i32.const 24)))
      (br $next))))
