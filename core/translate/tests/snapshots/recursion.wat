;; A function on a cycle is plain for its first activation, and states under a nested trampoline for the rest.
(module
  (func $factorial (export "factorial") (param i64) (result i64)
    (if (result i64) (i64.eqz (local.get 0))
      (then (i64.const 1))
      (else (i64.mul (local.get 0) (call $factorial (i64.sub (local.get 0) (i64.const 1))))))))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 st4(VM *vm);
;;= VV_SMALL u32 st5(VM *vm);
;;= VV_SMALL u64 fn0(VM *vm, u64 v0);
;;= VV_SMALL u32 st6(VM *vm);
;;= VV_FN void vv_nested(VM *vm, u32 state);
;;= VV_SMALL u32 st3(VM *vm) { /* factorial state 0 */
;;=   u64 v0, v1;
;;=   u32 fuel = vm->fuel;
;;=   v0 = vv_get(vm, 8u);
;;=   VV_EDGE(0u, 39u, return VV_HALT)
;;=   if (!v0) {
;;=     v1 = (u64)0x1u;
;;=     vv_put(vm, 16u, v1);
;;=     vm->fuel = fuel;
;;=     return 4u;
;;=   } else {
;;=     vm->fuel = fuel;
;;=     {
;;=       if (vm->fp + 48u > vm->frames_end) { vm->fuel = fuel; vv_trap(vm, VV_STACK_EXHAUSTED, 0u, 55u); return VV_HALT; }
;;=       vv_put(vm, 24u, 5u);
;;=       vv_put(vm, 32u, (v0 - (u64)0x1u));
;;=       vm->fp += 24u;
;;=       return 3u;
;;=     }
;;=   }
;;=   vm->fuel = fuel; return VV_HALT;
;;= }
;;= VV_SMALL u32 st4(VM *vm) { /* factorial state 1 */
;;=   u64 v1;
;;=   v1 = vv_get(vm, 16u);
;;=   vv_put(vm, 8u, v1);
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 st5(VM *vm) { /* factorial state 2 */
;;=   u64 v0, v1, v2;
;;=   v2 = vv_get(vm, 8u);
;;=   vm->fp -= 24u;
;;=   v0 = vv_get(vm, 8u);
;;=   v1 = (v0 * v2);
;;=   vv_put(vm, 16u, v1);
;;=   return 4u;
;;= }
;;= VV_SMALL u32 st6(VM *vm) { /* enters factorial */
;;=   u64 v0 = vv_get(vm, 8u);
;;=   vm->fp += 16u;
;;=   u64 r = fn0(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vm->fp -= 16u;
;;=   vv_put(vm, 8u, r);
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u64 fn0(VM *vm, u64 v0) { /* factorial */
;;=   u64 v1, v2;
;;=   if (!v0) {
;;=     v1 = (u64)0x1u;
;;=   } else {
;;=     {
;;=       if (vm->fp + 24u > vm->frames_end) { vv_trap(vm, VV_STACK_EXHAUSTED, 0u, 55u); return 0; }
;;=       vv_put(vm, 0u, VV_NESTED);
;;=       vv_put(vm, 8u, (v0 - (u64)0x1u));
;;=       vv_nested(vm, 3u);
;;=       if (VV_STOPPED(vm)) return 0;
;;=       v2 = vv_get(vm, 8u);
;;=     }
;;=     v1 = (v0 * v2);
;;=   }
;;=   return v1;
;;= }
;;= VV_HELPER u32 vv_dispatch_nested(VM *vm, u32 state) {
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
;;=   case 6u: return st6(vm);
;;=   }
;;=   return vv_dispatch_nested(vm, state);
;;= }
;;= VV_FN void vv_nested(VM *vm, u32 state) {
;;=   while (state != VV_NESTED && !vm->stop) state = vv_dispatch_nested(vm, state);
;;= }
