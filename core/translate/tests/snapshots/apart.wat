;; Two strides that together would end beyond the capacity stay apart: no check may ask for more than there can be.
;;! natural
(module (memory 1 1)
  (func (export "f") (param $p i32) (result i32) (local $s i32)
    (loop $l
      (local.set $s (i32.add (local.get $s) (i32.load offset=65000 (local.get $p))))
      (local.set $s (i32.add (local.get $s) (i32.load offset=65000 (i32.add (local.get $p) (i32.const 1000)))))
      (local.set $p (i32.add (local.get $p) (i32.const 4)))
      (br_if $l (local.get $p)))
    (local.get $s)))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 fn0(VM *vm, u32 v0);
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 st3(VM *vm) { /* enters f */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 r = fn0(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 fn0(VM *vm, u32 v0) { /* f */
;;=   u32 v1, v2, v3, v4, v5;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   v1 = 0u;
;;=   for (;;) {
;;=   VV_APART
;;=   u32 iterations = 0xffffffffu;
;;=   vv_stride(&fuel, &iterations, size, v0, 4, 65004u, 4u, 0u);
;;=   vv_stride(&fuel, &iterations, size, (v0 + 0x3e8u), 4, 65004u, 4u, 0u);
;;=   if (VV_UNLIKELY((s32)fuel < 0)) { VV_REFUEL(0u, 40u, return 0) }
;;=   for (;;) {
;;=     v4 = v0;
;;=     v2 = vv_a32(mem, v4, 65000u);
;;=     v1 = (v1 + v2);
;;=     v5 = (v0 + 0x3e8u);
;;=     v3 = vv_a32(mem, v5, 65000u);
;;=     v1 = (v1 + v3);
;;=     v0 = (v0 + 4u);
;;=     if (v0) {
;;=       goto L1;
;;=     }
;;=     goto E1;
;;=     L1: ;
;;=     VV_COUNT(vm, direct);
;;=     if (VV_SPENT_OR(iterations-- == 0)) break;
;;=   }
;;=   if ((s32)(fuel + 1) <= 0) { VV_REFUEL(0u, 40u, return 0) }
;;=   }
;;=   E1: ;
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
