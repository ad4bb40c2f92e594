;; Serves requests in a loop: answers with the request behind what it kept before the first, after a barrier. VMs of odd number then ask
;; for another without having answered.
;;! stdin: yes {n}
;;! stdin-odd: no {n}
;;! stdout: kept yes {n}
;;! error-odd: the program asked for another request and had not answered this one
;;! stderr: printed\n
(module
  (import "env" "serverless_invoke" (func $invoke (param i32 i32) (result i32)))
  (import "env" "serverless_response" (func $response (param i32 i32)))
  (import "env" "vectorvisor_barrier" (func $barrier))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "printed\n")
  (data (i32.const 32) "kept ")
  (func $print
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 8))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func (export "_start") (local $at i32) (local $length i32)
    (local.set $at (i32.shl (memory.grow (i32.const 1)) (i32.const 16)))
    (memory.copy (local.get $at) (i32.const 32) (i32.const 5))
    (call $print)
    (loop $next
      (local.set $length (call $invoke (i32.add (local.get $at) (i32.const 5)) (i32.const 1000)))
      (call $print)
      (call $barrier)
      (if (i32.eq (i32.load8_u offset=5 (local.get $at)) (i32.const 121))
        (then (call $response (local.get $at) (i32.add (local.get $length) (i32.const 5)))))
      (br $next))))
