;; Two loads off addresses that grow by 8 in each turn have one check for many turns. That of the store stays, and so do those of a
;; load that not every turn comes to, and of one whose address is loaded.
;;! natural
(module (memory 1)
  (func (export "sum") (param $p i32) (param $n i32) (result i32) (local $sum i32)
    (loop $more
      (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $p))))
      (local.set $sum (i32.add (local.get $sum) (i32.load (i32.add (local.get $p) (i32.const -12)))))
      (i32.store (i32.add (local.get $p) (i32.const 4096)) (local.get $sum))
      (if (i32.eqz (local.get $sum)) (then (local.set $sum (i32.load (i32.shl (local.get $p) (i32.const 2))))))
      (local.set $sum (i32.load (local.get $sum)))
      (local.set $p (i32.add (local.get $p) (i32.const 8)))
      (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    local.get $sum))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 fn0(VM *vm, u32 v0, u32 v1);
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 st3(VM *vm) { /* enters sum */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 v1 = (u32)(vv_get(vm, 16u));
;;=   u32 r = fn0(vm, v0, v1);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 fn0(VM *vm, u32 v0, u32 v1) { /* sum */
;;=   u32 v2, v3, v4, v5, v6, v7, v8, v9, v10;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   v2 = 0u;
;;=   for (;;) {
;;=   VV_APART
;;=   u32 iterations = 0xffffffffu;
;;=   vv_stride(&fuel, &iterations, size, (v0 + 0xfffffff4u), 8, 16u, 4u, 0u);
;;=   if (VV_UNLIKELY((s32)fuel < 0)) { VV_REFUEL(0u, 42u, return 0) }
;;=   for (;;) {
;;=     v7 = (v0 + 0xfffffff4u);
;;=     v3 = vv_a32(mem, v7, 12u);
;;=     v2 = (v2 + v3);
;;=     v4 = vv_a32(mem, v7, 0u);
;;=     v2 = (v2 + v4);
;;=     v8 = vv_check(&fuel, size, (v0 + 0x1000u), 0u, 4u, 4u, 0u);
;;=     vv_sa32(mem, v8, 0u, (v2));
;;=     if (!v2) {
;;=       v9 = vv_check(&fuel, size, (v0 << (2u & 31)), 0u, 4u, 4u, 0u);
;;=       v5 = vv_a32(mem, v9, 0u);
;;=       v2 = v5;
;;=     }
;;=     v10 = vv_check(&fuel, size, v2, 0u, 4u, 4u, 0u);
;;=     v6 = vv_a32(mem, v10, 0u);
;;=     v2 = v6;
;;=     v0 = (v0 + 8u);
;;=     v1 = (v1 - 1u);
;;=     if (v1) {
;;=       goto L1;
;;=     }
;;=     goto E1;
;;=     L1: ;
;;=     VV_COUNT(vm, direct);
;;=     if (VV_SPENT_OR(iterations-- == 0)) break;
;;=   }
;;=   if ((s32)(fuel + 1) <= 0) { VV_REFUEL(0u, 42u, return 0) }
;;=   }
;;=   E1: ;
;;=   vm->fuel = fuel;
;;=   return v2;
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
