;; Memory that can grow is tested against its current size, which is read again after growing.
(module (memory 1 4)
  (func (export "f") (param i32) (result i32)
    (drop (memory.grow (i32.const 1)))
    (i32.load (local.get 0))))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 fn0(VM *vm, u32 v0) { /* f */
;;=   u32 v1, v2, v3;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   vm->fuel = fuel;
;;=   {
;;=     u64 old = vv_memory_grow(vm, 1u);
;;=     if (VV_UNLIKELY((u32)(old >> 32))) { vv_halt(vm, (u32)(old >> 32), 0u, 0u, 40u); return 0; }
;;=     v1 = (u32)old;
;;=   }
;;=   fuel = vm->fuel;
;;=   size = vm->size;
;;=   v3 = vv_check(&fuel, size, v0, 0u, 4u, 1u, 0u);
;;=   v2 = vv_ld32(mem, v3);
;;=   vm->fuel = fuel;
;;=   return v2;
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
