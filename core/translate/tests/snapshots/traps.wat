;; Division and conversion test their operands; br_table is a switch.
(module
  (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "trunc") (param f64) (result i64) (i64.trunc_f64_s (local.get 0)))
  (func (export "choose") (param i32) (result i32)
    (block $c (block $b (block $a (br_table $a $b $a $c (local.get 0))) (return (i32.const 1))) (return (i32.const 2)))
    (i32.const 3)))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 st4(VM *vm);
;;= VV_SMALL u32 st5(VM *vm);
;;= VV_SMALL u32 fn0(VM *vm, u32 v0, u32 v1) { /* div */
;;=   u32 v2;
;;=   {
;;=     u32 a = v0;
;;=     u32 b = v1;
;;=     u32 t = b == 0 ? VV_DIVIDE_BY_ZERO : a == 0x80000000u && b == 0xffffffffu ? VV_INTEGER_OVERFLOW : 0u;
;;=     if (VV_UNLIKELY(t)) { vv_trap(vm, t, 0u, 68u); return 0; }
;;=     v2 = (u32)((s32)a / (s32)b);
;;=   }
;;=   return v2;
;;= }
;;= VV_SMALL u64 fn1(VM *vm, f64 v0) { /* trunc */
;;=   u64 v1;
;;=   {
;;=     f64 a = v0;
;;=     u32 t = vv_range64(a, -9223372036854775808.0, 1u, 9223372036854775808.0);
;;=     if (VV_UNLIKELY(t)) { vv_trap(vm, t, 1u, 74u); return 0; }
;;=     v1 = (u64)(s64)a;
;;=   }
;;=   return v1;
;;= }
;;= VV_SMALL u32 fn2(VM *vm, u32 v0) { /* choose */
;;=   switch (v0) {
;;=   case 0u: case 2u:
;;=     goto L3;
;;=   case 1u:
;;=     goto L2;
;;=   default:
;;=     goto L1;
;;=   }
;;=   L3: ;
;;=   return 1u;
;;=   L2: ;
;;=   return 2u;
;;=   L1: ;
;;=   return 3u;
;;= }
;;= VV_SMALL u32 st3(VM *vm) { /* enters div */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 v1 = (u32)(vv_get(vm, 16u));
;;=   u32 r = fn0(vm, v0, v1);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 st4(VM *vm) { /* enters trunc */
;;=   f64 v0 = vv_f64(vv_get(vm, 8u));
;;=   u64 r = fn1(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, r);
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 st5(VM *vm) { /* enters choose */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 r = fn2(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_INLINE u32 vv_dispatch_nested(VM *vm, u32 state) {
;;=   switch (state) {
;;=   case 3u: return st3(vm);
;;=   case 4u: return st4(vm);
;;=   case 5u: return st5(vm);
;;=   }
;;=   vv_halt(vm, VV_EXITED, 0, 0xffffffffu, 0xffffffffu);
;;=   return VV_HALT;
;;= }
;;= VV_INLINE u32 vv_dispatch(VM *vm, u32 state) {
;;=   switch (state) {
;;=   }
;;=   return vv_dispatch_nested(vm, state);
;;= }
