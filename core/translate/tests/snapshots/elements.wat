;; A loop that fills the table, which NVRTC 13.0 must not see read its pointer anew in each turn: it would not end.
(module
  (table 10 funcref)
  (func $a (result i32) (i32.const 4))
  (elem $e func $a $a $a $a)
  (func (export "fill") (table.init $e (i32.const 2) (i32.const 0) (i32.const 4)) (elem.drop $e))
  (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))

;;= #define VV_TABLE_LENGTH 10u
;;= #define VV_TABLE(i) vv_w32(vm->head, 0u + (i) * 4)
;;= VV_CONSTANT_LARGE u32 vv_elements0[] = {1u, 1u, 1u, 1u};
;;= VV_SMALL void fn1(VM *vm);
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 fn2(VM *vm, u32 v0);
;;= VV_SMALL u32 st4(VM *vm);
;;= VV_SMALL u32 ci0(VM *vm, u32 i, u32 func, u32 at);
;;= VV_SMALL u32 fn0(VM *vm) { /* a */
;;=   return 4u;
;;= }
;;= VV_SMALL u32 st3(VM *vm) { /* enters fill */
;;=   fn1(vm);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 st4(VM *vm) { /* enters call */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 r = fn2(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL void fn1(VM *vm) { /* fill */
;;=   {
;;=     u32 to = 2u, from = 0u, n = 4u;
;;=     if ((u64)to + n > VV_TABLE_LENGTH || (u64)from + n > (vv_w32(vm->head, 40u) ? 0u : 4u)) { vv_trap(vm, VV_OUT_OF_BOUNDS_TABLE, 1u, 78u); return; }
;;=     vv_gp head = vm->head;
;;=     for (u32 i = 0, piece; i < n; i += piece) {
;;=       piece = VV_FIRST(n - i);
;;=       {
;;=         u32 end = vv_charge(vm, VV_WORK(piece * 4));
;;=         if (VV_UNLIKELY(end)) { vv_halt(vm, end, VV_OUT_OF_BOUNDS_MEMORY, 1u, 78u); return; }
;;=       }
;;=       for (u32 j = i; j < i + piece; j++) vv_sw32(head, 0u + (to + j) * 4, vv_elements0[from + j]);
;;=     }
;;=   }
;;=   vv_sw32(vm->head, 40u, 1u);
;;=   return;
;;= }
;;= VV_SMALL u32 fn2(VM *vm, u32 v0) { /* call */
;;=   u32 v1;
;;=   v1 = ci0(vm, v0, 2u, 90u);
;;=   if (VV_STOPPED(vm)) return 0;
;;=   return v1;
;;= }
;;= VV_SMALL u32 ci0(VM *vm, u32 i, u32 func, u32 at) {
;;=   if (i >= VV_TABLE_LENGTH) { vv_trap(vm, VV_UNDEFINED_ELEMENT, func, at); return 0; }
;;=   u32 id = VV_TABLE(i);
;;=   switch (id) {
;;=   case 1u: return fn0(vm);
;;=   }
;;=   vv_trap(vm, id ? VV_INDIRECT_CALL_TYPE : VV_UNINITIALIZED_ELEMENT, func, at);
;;=   return 0;
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
