;; Where a failed check ends the VM at once, a function without loops needs no fuel at hand.
;;! thread-exit cheap-branches
(module
  (memory 1)
  (func (export "swap") (param i32) (local i32)
    (local.set 1 (i32.load (local.get 0)))
    (i32.store (local.get 0) (i32.load offset=4 (local.get 0)))
    (i32.store offset=4 (local.get 0) (local.get 1)))
  (func (export "clear") (param i32)
    (loop $more
      (i32.store (local.get 0) (i32.const 0))
      (br_if $more (local.tee 0 (i32.sub (local.get 0) (i32.const 4)))))))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL void fn1(VM *vm, u32 v0);
;;= VV_SMALL u32 st4(VM *vm);
;;= VV_SMALL void fn0(VM *vm, u32 v0) { /* swap */
;;=   u32 v1, v2, v3, v4;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 const zero = vm->zero;
;;=   v1 = 0u;
;;=   v4 = vv_check(&vm->fuel, size, v0, 0u, 8u, 1u, 0u);
;;=   v2 = vv_ld32(mem, v4);
;;=   v1 = v2;
;;=   v3 = vv_ld32(mem, v4 + 4u);
;;=   vv_st32(mem, v4, (v3) | ((v2) & zero));
;;=   vv_st32(mem, v4 + 4u, (v1) | ((v3) & zero));
;;=   return;
;;= }
;;= VV_SMALL u32 st3(VM *vm) { /* enters swap */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   fn0(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 st4(VM *vm) { /* enters clear */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   fn1(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL void fn1(VM *vm, u32 v0) { /* clear */
;;=   u32 v1;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   for (;;) {
;;=   VV_APART
;;=   for (;;) {
;;=     v1 = vv_check(&fuel, size, v0, 0u, 4u, 1u, 0u);
;;=     vv_st32(mem, v1, (0u));
;;=     v0 = (v0 - 4u);
;;=     if (v0) {
;;=       goto L1;
;;=     }
;;=     goto E1;
;;=     L1: ;
;;=     VV_COUNT(vm, direct);
;;=     if (VV_SPENT) break;
;;=   }
;;=   { VV_REFUEL(1u, 77u, return) }
;;=   }
;;=   E1: ;
;;=   vm->fuel = fuel;
;;=   return;
;;= }
;;= VV_INLINE u32 vv_dispatch_nested(VM *vm, u32 state) {
;;=   switch (state) {
;;=   case 3u: return st3(vm);
;;=   case 4u: return st4(vm);
;;=   }
;;=   vv_halt(vm, VV_EXITED, 0, 0xffffffffu, 0xffffffffu);
;;=   return VV_HALT;
;;= }
;;= VV_INLINE u32 vv_dispatch(VM *vm, u32 state) {
;;=   switch (state) {
;;=   }
;;=   return vv_dispatch_nested(vm, state);
;;= }
