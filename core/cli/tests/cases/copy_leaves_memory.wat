;; A function that copies, and would leave memory: it traps where its own access does.
;;! invoke: f
;;! error: wasm trap: out of bounds memory access
(module
  (memory 1)
  (func $copy (param $to i32) (param $from i32) (param $n i32) (result i32) (local $i i32)
    (block $done
      (br_if $done (i32.eqz (local.get $n)))
      (loop $l
        (i32.store8 (i32.add (local.get $to) (local.get $i)) (i32.load8_u (i32.add (local.get $from) (local.get $i))))
        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n)))))
    (local.get $to))
  (func (export "f") (result i32)
    (drop (call $copy (i32.const 65500) (i32.const 100) (i32.const 36)))
    (call $copy (i32.const 65500) (i32.const 100) (i32.const 37))))
