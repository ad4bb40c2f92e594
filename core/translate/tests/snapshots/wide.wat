;; In linear memory a check covers what may follow off the same address, behind branches and calls.
;;! natural linear
(module (memory 1)
  (func $f (param i32))
  (func (export "g") (param $p i32) (param $n i32) (result i32)
    (i32.store offset=8 (local.get $p) (local.get $n))
    (call $f (local.get $n))
    (if (local.get $n) (then (i32.store (local.get $p) (i32.load offset=32 (local.get $p)))))
    (local.set $p (i32.add (local.get $p) (local.get $n)))
    (i32.load (local.get $p))))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 fn1(VM *vm, u32 v0, u32 v1);
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL void fn0(VM *vm, u32 v0) { /* f */
;;=   return;
;;= }
;;= VV_SMALL u32 st3(VM *vm) { /* enters g */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 v1 = (u32)(vv_get(vm, 16u));
;;=   u32 r = fn1(vm, v0, v1);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 fn1(VM *vm, u32 v0, u32 v1) { /* g */
;;=   u32 v2, v3, v4, v5;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   v4 = vv_check_wide(&fuel, size, v0, 0u, 36u, 4u, 0u, 8u, 4u);
;;=   vv_sa32(mem, v4, 8u, (v1));
;;=   fn0(vm, v1);
;;=   if (v1) {
;;=     v2 = vv_a32(mem, v4, 32u);
;;=     vv_sa32(mem, v4, 0u, (v2));
;;=   }
;;=   v0 = (v0 + v1);
;;=   v5 = vv_check(&fuel, size, v0, 0u, 4u, 4u, 0u);
;;=   v3 = vv_a32(mem, v5, 0u);
;;=   vm->fuel = fuel;
;;=   return v3;
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
