;; Loads and stores in memory that cannot grow: the address is clamped, the flag is sticky.
(module (memory 1 1)
  (func (export "f") (param i32 i32) (result i32)
    (i32.store offset=4 (local.get 0) (local.get 1))
    (i64.store8 (local.get 0) (i64.const 7))
    (i32.add (i32.load offset=4 (local.get 0)) (i32.load16_s (local.get 1)))))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 fn0(VM *vm, u32 v0, u32 v1) { /* f */
;;=   u32 v2, v3, v4, v5;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   v4 = vv_check(&fuel, size, v0, 0u, 8u, 1u, 0u);
;;=   vv_st32(mem, v4 + 4u, (v1));
;;=   v2 = vv_ld32(mem, v4 + 4u);
;;=   vv_sa8(mem, v4, 0u, (u32)((u64)0x7u));
;;=   v5 = vv_check(&fuel, size, v1, 0u, 2u, 1u, 0u);
;;=   v3 = (u32)(s32)(s16)vv_ld16(mem, v5);
;;=   vm->fuel = fuel;
;;=   return (v2 + v3);
;;= }
;;= VV_SMALL u32 st3(VM *vm) { /* enters f */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 v1 = (u32)(vv_get(vm, 16u));
;;=   u32 r = fn0(vm, v0, v1);
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
