;; A function that copies bytes: at once where its ranges are in memory and apart. Callers make that test.
(module
  (memory (export "memory") 1)
  (func $copies (param i32 i32 i32) (result i32) (local $i i32)
    (if (local.get 2) (then
      (loop $more
        (i32.store8 (i32.add (local.get 0) (local.get $i)) (i32.load8_u (i32.add (local.get 1) (local.get $i))))
        (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get 2))))))
    local.get 0)
  (func (export "f") (param i32) (result i32)
    (call $copies (i32.const 16) (local.get 0) (i32.const 8))))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_FN u32 fn0_loops(VM *vm, u32 v0, u32 v1, u32 v2);
;;= VV_SMALL u32 fn1(VM *vm, u32 v0);
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_FN u32 fn0_loops(VM *vm, u32 v0, u32 v1, u32 v2);
;;= VV_SMALL u32 fn0(VM *vm, u32 v0, u32 v1, u32 v2) { /* copies */
;;=   u32 v5, v6;
;;=   v5 = vv_in_bounds(vm, v0, v2);
;;=   v6 = vv_in_bounds(vm, v1, v2);
;;=   if ((((v5 & v6) & (u32)((v0 - v1) >= v2)) & (u32)((v1 - v0) >= v2))) {
;;=     {
;;=       u32 end = vv_memory_copy(vm, v0, v1, v2);
;;=       if (VV_UNLIKELY(end)) { vv_halt(vm, end, VV_OUT_OF_BOUNDS_MEMORY, 0u, 53u); return 0; }
;;=     }
;;=     return v0;
;;=   }
;;=   return fn0_loops(vm, v0, v1, v2);
;;= }
;;= VV_FN u32 fn0_loops(VM *vm, u32 v0, u32 v1, u32 v2) { /* copies */
;;=   u32 v3, v4, v7, v8;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   v3 = 0u;
;;=   if (v2) {
;;=     for (;;) {
;;=     VV_APART
;;=     for (;;) {
;;=       v7 = vv_check(&fuel, size, (v1 + v3), 0u, 1u, 1u, 0u);
;;=       v4 = vv_a8(mem, v7, 0u);
;;=       v8 = vv_check(&fuel, size, (v0 + v3), 0u, 1u, 1u, 0u);
;;=       vv_sa8(mem, v8, 0u, (v4));
;;=       v3 = (v3 + 1u);
;;=       if ((u32)(v3 < v2)) {
;;=         goto L2;
;;=       }
;;=       goto E2;
;;=       L2: ;
;;=       VV_COUNT(vm, direct);
;;=       if (VV_SPENT) break;
;;=     }
;;=     { VV_REFUEL(0u, 60u, return 0) }
;;=     }
;;=     E2: ;
;;=   }
;;=   vm->fuel = fuel;
;;=   return v0;
;;= }
;;= VV_SMALL u32 fn1(VM *vm, u32 v0) { /* f */
;;=   u32 v1;
;;=   u32 fuel = vm->fuel;
;;=   VV_EDGE(1u, 103u, return 0)
;;=   vm->fuel = fuel;
;;=   v1 = fn0(vm, 0x10u, v0, 8u);
;;=   if (VV_STOPPED(vm)) return 0;
;;=   fuel = vm->fuel;
;;=   vm->fuel = fuel;
;;=   return v1;
;;= }
;;= VV_SMALL u32 st3(VM *vm) { /* enters f */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 r = fn1(vm, v0);
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
