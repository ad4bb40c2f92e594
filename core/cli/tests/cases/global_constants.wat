;; Constant expressions that read earlier immutable globals of the module: in globals, offsets of data and elements, with
;; arithmetic. The third value is that of a program which reads all three kinds at once.
;;! invoke: f
;;! value: 1000, 7, 2189679, -4000000000, -2.5, 11
(module
  (memory 1)
  (global $a i32 (i32.const 1000))
  (global $b i32 (i32.add (global.get $a) (i32.mul (i32.const 3) (i32.const 8))))
  (global $c (mut i64) (i64.sub (i64.const 5) (i64.const 9)))
  (global $of_global (mut i32) (global.get $a))
  (global $long i64 (i64.const 2000000000))
  (global $longer (mut i64) (i64.mul (global.get $long) (i64.sub (i64.const 0) (i64.const 2))))
  (global $half f64 (f64.const -2.5))
  (global $same (mut f64) (global.get $half))
  (data (global.get $b) "hi!\00")
  (data (global.get $a) "\07")
  (table 6 funcref)
  (elem (offset (i32.sub (global.get $b) (i32.const 1022))) func $g)
  (elem (offset (i32.sub (global.get $a) (i32.const 996))) funcref (ref.null func) (ref.func $g))
  (type $t (func (result i32)))
  (func $g (result i32) (i32.const 11))
  (func (export "f") (result i32 i32 i32 i64 f64 i32)
    (global.get $of_global)
    (i32.load8_u (i32.const 1000))
    (i32.add (i32.load (i32.const 1024))
      (i32.add (call_indirect (type $t) (i32.const 2)) (i32.wrap_i64 (global.get $c))))
    (global.get $longer)
    (global.get $same)
    (call_indirect (type $t) (i32.const 5))))
