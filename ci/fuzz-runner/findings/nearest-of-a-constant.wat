;; PoCL's rint has undefined behaviour for large numbers. With a constant argument the compiler therefore removed the
;; rest of the function, and the code before it trapped in every VM.
;; options: --lanes 32 --interleave 8 --stack 4096 --traps exact --force-framed
;; calls: f32(i32:0x1) f64(i32:0x1) f32(i32:0x0) f64(i32:0x0)
(module
  (func (export "f32") (param i32) (result f32 f32)
    (if (i32.eqz (local.get 0)) (then (unreachable)))
    (f32.nearest (f32.const 0x1.d416d6p+92)) (f32.nearest (f32.const -0x1p+31)))
  (func (export "f64") (param i32) (result f64 f64)
    (if (i32.eqz (local.get 0)) (then (unreachable)))
    (f64.nearest (f64.const 0x1.d416d6p+92)) (f64.nearest (f64.const -0x1p+62))))
