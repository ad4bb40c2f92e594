;;! exact thread-exit
;; Stops at the access, and names its offset.
(module (memory 1 1)
  (func (export "f") (param i32) (result i32) (i32.load offset=8 (local.get 0))))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 fn0(VM *vm, u32 v0) { /* f */
;;=   u32 v1;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   { u32 ea = v0;
;;=   if (VV_UNLIKELY(vv_bad(size, ea, 12u))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 0u, 40u); return 0; }
;;=   ea += 8u;
;;=   v1 = vv_ld32(mem, ea); }
;;=   return v1;
;;= }
;;= VV_SMALL u32 st3(VM *vm) { /* enters f */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 r = fn0(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
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
