;; Answers a request, which begins with a digit, with itself, after as many barriers.
(module
  (import "env" "serverless_invoke" (func $invoke (param i32 i32) (result i32)))
  (import "env" "serverless_response" (func $response (param i32 i32)))
  (import "env" "vectorvisor_barrier" (func $barrier))
  (memory (export "memory") 1)
  (func (export "_start") (local $length i32) (local $left i32)
    (loop $next
      (local.set $length (call $invoke (i32.const 100) (i32.const 50)))
      (local.set $left (i32.sub (i32.load8_u (i32.const 100)) (i32.const 48)))
      (block $passed (loop $more
        (br_if $passed (i32.eqz (local.get $left)))
        (call $barrier)
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $more)))
      (call $response (i32.const 100) (local.get $length))
      (br $next))))
