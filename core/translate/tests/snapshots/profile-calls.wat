;; A program that is profiled counts which function each indirect call calls, and those only of VMs.
;;! profile
(module
  (table funcref (elem $inc $dec $twice))
  (type $t (func (param i32) (result i32)))
  (func $inc (type $t) (i32.add (local.get 0) (i32.const 1)))
  (func $dec (type $t) (i32.sub (local.get 0) (i32.const 1)))
  (func $twice (type $t) (i32.mul (local.get 0) (i32.const 2)))
  (func (export "f") (param i32 i32) (result i32)
    (call_indirect (type $t) (i32.mul (local.get 0) (local.get 0)) (i32.and (local.get 1) (i32.const 3)))))

;;= #define VV_TABLE_LENGTH 3u
;;= #define VV_TABLE(i) vv_table[i]
;;= VV_CONSTANT u32 vv_table[] = {1u, 2u, 3u};
;;= VV_SMALL u32 fn3(VM *vm, u32 v0, u32 v1);
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL void ct0(VM *vm, u32 i, u32 first);
;;= VV_SMALL u32 ci0(VM *vm, u32 i, u32 func, u32 at, u32 v0);
;;= VV_SMALL u32 fn0(VM *vm, u32 v0) { /* inc */
;;=   vv_visit(vm, 0u);
;;=   return (v0 + 1u);
;;= }
;;= VV_SMALL u32 fn1(VM *vm, u32 v0) { /* dec */
;;=   vv_visit(vm, 1u);
;;=   return (v0 - 1u);
;;= }
;;= VV_SMALL u32 fn2(VM *vm, u32 v0) { /* twice */
;;=   vv_visit(vm, 2u);
;;=   return (v0 * 2u);
;;= }
;;= VV_SMALL u32 st3(VM *vm) { /* enters f */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 v1 = (u32)(vv_get(vm, 16u));
;;=   u32 r = fn3(vm, v0, v1);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 fn3(VM *vm, u32 v0, u32 v1) { /* f */
;;=   u32 v2;
;;=   vv_visit(vm, 3u);
;;=   ct0(vm, (v1 & 3u), 4u);
;;=   v2 = ci0(vm, (v1 & 3u), 3u, 95u, (v0 * v0));
;;=   if (VV_STOPPED(vm)) return 0;
;;=   return v2;
;;= }
;;= VV_SMALL void ct0(VM *vm, u32 i, u32 first) {
;;=   if (i >= VV_TABLE_LENGTH) return;
;;=   switch (VV_TABLE(i)) {
;;=   case 1u: vm->points[2 * (first + 0u)]++; return;
;;=   case 2u: vm->points[2 * (first + 1u)]++; return;
;;=   case 3u: vm->points[2 * (first + 2u)]++; return;
;;=   }
;;= }
;;= VV_SMALL u32 ci0(VM *vm, u32 i, u32 func, u32 at, u32 v0) {
;;=   if (i >= VV_TABLE_LENGTH) { vv_trap(vm, VV_UNDEFINED_ELEMENT, func, at); return 0; }
;;=   u32 id = VV_TABLE(i);
;;=   switch (id) {
;;=   case 1u: return fn0(vm, v0);
;;=   case 2u: return fn1(vm, v0);
;;=   case 3u: return fn2(vm, v0);
;;=   }
;;=   vv_trap(vm, id ? VV_INDIRECT_CALL_TYPE : VV_UNINITIALIZED_ELEMENT, func, at);
;;=   return 0;
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
