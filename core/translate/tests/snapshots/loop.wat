;; A loop charges fuel where it turns; its exit is a branch to the block around it.
(module
  (func (export "sum") (param i32) (result i32) (local i32)
    (block $out
      (loop $again
        (br_if $out (i32.eqz (local.get 0)))
        (local.set 1 (i32.add (local.get 1) (local.get 0)))
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (br $again)))
    (local.get 1)))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 fn0(VM *vm, u32 v0);
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 st3(VM *vm) { /* enters sum */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 r = fn0(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 fn0(VM *vm, u32 v0) { /* sum */
;;=   u32 v1;
;;=   u32 fuel = vm->fuel;
;;=   v1 = 0u;
;;=   for (;;) {
;;=   VV_APART
;;=   for (;;) {
;;=     if (!v0) {
;;=       goto L1;
;;=     }
;;=     v1 = (v1 + v0);
;;=     v0 = (v0 - 1u);
;;=     goto L2;
;;=     L2: ;
;;=     VV_COUNT(vm, direct);
;;=     if (VV_SPENT) break;
;;=   }
;;=   { VV_REFUEL(0u, 38u, return 0) }
;;=   }
;;=   L1: ;
;;=   vm->fuel = fuel;
;;=   return v1;
;;= }
;;= VV_INLINE u32 vv_dispatch_nested(VM *vm, u32 state) {
;;=   switch (state) {
;;=   case 3u: return st3(vm);
;;=   }
;;=   vv_halt(vm, VV_EXITED, 0, 0xffffffffu, 0xffffffffu);
;;=   return VV_HALT;
;;= }
;;= VV_INLINE u32 vv_dispatch(VM *vm, u32 state) {
;;=   switch (state) {
;;=   }
;;=   return vv_dispatch_nested(vm, state);
;;= }
