;; On a GPU with a stack to recurse on: what a cut call enters looks how deep the stack is.
;;! thread-exit small-stack
(module
  (table 2 funcref)
  (elem (i32.const 0) $even $odd)
  (type $test (func (param i32) (result i32)))
  (func $even (export "even") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 1))
      (else (call $odd (i32.sub (local.get 0) (i32.const 1))))))
  (func $odd (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 0))
      (else (call_indirect (type $test) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))))
  (func $deep (export "deep") (param i32) (call $deep (i32.add (local.get 0) (i32.const 1)))))

;;= #define VV_TABLE_LENGTH 2u
;;= #define VV_TABLE(i) vv_table[i]
;;= VV_CONSTANT u32 vv_table[] = {1u, 2u};
;;= VV_FN u32 fn0(VM *vm, u32 v0);
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_FN u32 fn1(VM *vm, u32 v0);
;;= VV_FN void fn2(VM *vm, u32 v0);
;;= VV_SMALL u32 st4(VM *vm);
;;= VV_SMALL u32 ci0(VM *vm, u32 i, u32 func, u32 at, u32 v0);
;;= VV_FN u32 fn0(VM *vm, u32 v0) { /* even */
;;=   VV_DEEP_HERE(return 0)
;;=   u32 v1, v2;
;;=   u32 fuel = vm->fuel;
;;=   VV_EDGE(0u, 77u, return 0)
;;=   if (!v0) {
;;=     v1 = 1u;
;;=   } else {
;;=     vm->fuel = fuel;
;;=     v2 = fn1(vm, (v0 - 1u));
;;=     fuel = vm->fuel;
;;=     v1 = v2;
;;=   }
;;=   vm->fuel = fuel;
;;=   return v1;
;;= }
;;= VV_FN u32 fn1(VM *vm, u32 v0) { /* odd */
;;=   VV_DEEP_HERE(return 0)
;;=   u32 v1, v2;
;;=   u32 fuel = vm->fuel;
;;=   VV_EDGE(1u, 98u, return 0)
;;=   if (!v0) {
;;=     v1 = 0u;
;;=   } else {
;;=     vm->fuel = fuel;
;;=     v2 = ci0(vm, 0u, 1u, 98u, (v0 - 1u));
;;=     fuel = vm->fuel;
;;=     v1 = v2;
;;=   }
;;=   vm->fuel = fuel;
;;=   return v1;
;;= }
;;= VV_SMALL u32 ci0(VM *vm, u32 i, u32 func, u32 at, u32 v0) {
;;=   if (i >= VV_TABLE_LENGTH) { vv_trap(vm, VV_UNDEFINED_ELEMENT, func, at); return 0; }
;;=   u32 id = VV_TABLE(i);
;;=   switch (id) {
;;=   case 1u: { VV_DEEPER(func, at, return 0) u32 r = fn0(vm, v0); VV_BACK return r; }
;;=   case 2u: { VV_DEEPER(func, at, return 0) u32 r = fn1(vm, v0); VV_BACK return r; }
;;=   }
;;=   vv_trap(vm, id ? VV_INDIRECT_CALL_TYPE : VV_UNINITIALIZED_ELEMENT, func, at);
;;=   return 0;
;;= }
;;= VV_FN void fn2(VM *vm, u32 v0) { /* deep */
;;=   VV_DEEP_HERE(return)
;;=   u32 fuel = vm->fuel;
;;=   VV_EDGE(2u, 110u, return)
;;=   vm->fuel = fuel;
;;=   VV_DEEPER(2u, 110u, return)
;;=   fn2(vm, (v0 + 1u));
;;=   VV_BACK
;;=   fuel = vm->fuel;
;;=   vm->fuel = fuel;
;;=   return;
;;= }
;;= VV_SMALL u32 st3(VM *vm) { /* enters even */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 r = fn0(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 st4(VM *vm) { /* enters deep */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   fn2(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   return (u32)vv_get(vm, 0u);
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
