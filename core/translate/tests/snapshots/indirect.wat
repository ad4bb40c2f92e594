;; One dispatcher a signature; a function that never returns is entered by abandoning its callers if it is on a cycle.
(module
  (table funcref (elem $a $b $die))
  (type $t (func (param i32) (result i32)))
  (func $a (type $t) (i32.add (local.get 0) (i32.const 1)))
  (func $b (type $t) (call $die (local.get 0)))
  (func $die (type $t) (drop (call_indirect (type $t) (local.get 0) (i32.const 0))) (unreachable))
  (func (export "f") (param i32) (result i32)
    (call_indirect (type $t) (i32.const 7) (local.get 0))))

;;= #define VV_TABLE_LENGTH 3u
;;= #define VV_TABLE(i) vv_table[i]
;;= VV_CONSTANT u32 vv_table[] = {1u, 2u, 3u};
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 st4(VM *vm);
;;= VV_SMALL u32 fn3(VM *vm, u32 v0);
;;= VV_SMALL u32 st5(VM *vm);
;;= VV_FN u32 ci0(VM *vm, u32 i, u32 func, u32 at, u32 v0);
;;= VV_SMALL u32 fn0(VM *vm, u32 v0) { /* a */
;;=   return (v0 + 1u);
;;= }
;;= VV_FN u32 ci0(VM *vm, u32 i, u32 func, u32 at, u32 v0) {
;;=   if (i >= VV_TABLE_LENGTH) { vv_trap(vm, VV_UNDEFINED_ELEMENT, func, at); return 0; }
;;=   u32 id = VV_TABLE(i);
;;=   switch (id) {
;;=   case 1u: return fn0(vm, v0);
;;=   case 2u: vm->fp = 0; vv_put(vm, 0u, VV_FINISH); vv_put(vm, 8u, (u64)(v0)); vv_abandon(vm, 3u); return 0;
;;=   case 3u: vm->fp = 0; vv_put(vm, 0u, VV_FINISH); vv_put(vm, 8u, (u64)(v0)); vv_abandon(vm, 4u); return 0;
;;=   }
;;=   vv_trap(vm, id ? VV_INDIRECT_CALL_TYPE : VV_UNINITIALIZED_ELEMENT, func, at);
;;=   return 0;
;;= }
;;= VV_SMALL u32 st3(VM *vm) { /* b state 0 */
;;=   u32 v0;
;;=   u32 fuel = vm->fuel;
;;=   v0 = (u32)(vv_get(vm, 8u));
;;=   VV_EDGE(1u, 62u, return VV_HALT)
;;=   vm->fuel = fuel;
;;=   {
;;=     vv_sw64(vm->frames, 0u, VV_FINISH);
;;=     vv_sw64(vm->frames, 8u, (u64)(v0));
;;=     vv_abandon(vm, 4u);
;;=     return VV_HALT;
;;=   }
;;= }
;;= VV_SMALL u32 st4(VM *vm) { /* die state 0 */
;;=   u32 v0, v1;
;;=   u32 fuel = vm->fuel;
;;=   v0 = (u32)(vv_get(vm, 8u));
;;=   VV_EDGE(2u, 69u, return VV_HALT)
;;=   vm->fuel = fuel;
;;=   v1 = ci0(vm, 0u, 2u, 74u, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   fuel = vm->fuel;
;;=   vm->fuel = fuel;
;;=   vv_trap(vm, VV_UNREACHABLE, 2u, 78u);
;;=   return VV_HALT;
;;= }
;;= VV_SMALL u32 st5(VM *vm) { /* enters f */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 r = fn3(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 fn3(VM *vm, u32 v0) { /* f */
;;=   u32 v1;
;;=   v1 = ci0(vm, v0, 3u, 86u, 7u);
;;=   if (VV_STOPPED(vm)) return 0;
;;=   return v1;
;;= }
;;= VV_INLINE u32 vv_dispatch_nested(VM *vm, u32 state) {
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
;;=   }
;;=   return vv_dispatch_nested(vm, state);
;;= }
