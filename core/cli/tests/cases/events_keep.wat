;; Keeps its state. A second answer goes nowhere. A request of VMs of
;; odd number is longer than it takes.
;;! options: --state keep
;;! stdin: {n}
;;! stdin-odd: much too long {n}
;;! stdout: ok
;;! error-odd: the request is longer than the 8 bytes that the program takes
(module
  (import "env" "serverless_invoke" (func $invoke (param i32 i32) (result i32)))
  (import "env" "serverless_response" (func $response (param i32 i32)))
  (memory (export "memory") 4)
  (data (i32.const 64) "ok")
  (func (export "_start")
    (loop $next
      (drop (call $invoke (i32.const 0) (i32.const 8)))
      (call $response (i32.const 64) (i32.const 2))
      (call $response (i32.const 0) (i32.const 100000))
      (br $next))))
