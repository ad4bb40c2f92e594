;; Ends in a request: VMs of even number trap after they have waited for others of which none comes, those of odd number exit.
;;! stdin: t{n}
;;! stdin-odd: x{n}
;;! error: unreachable
;;! error-odd: the program ended with exit code 5 and had not answered
(module
  (import "wasi_snapshot_preview1" "serverless_invoke" (func $invoke (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "serverless_response" (func $response (param i32 i32)))
  (import "env" "vectorvisor_barrier" (func $barrier))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $serve (param $at i32)
    (loop $next
      (drop (call $invoke (local.get $at) (i32.const 1000)))
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 120)) (then (call $exit (i32.const 5))))
      (call $barrier)
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 116)) (then (unreachable)))
      (call $response (local.get $at) (i32.const 1))
      (br $next)))
  (func (export "_start") (call $serve (i32.const 100))))
