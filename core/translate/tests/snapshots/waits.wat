;; A store that does not need what was loaded from its place is made to need it, however the place is written.
(module (memory 1 1)
  (func (export "offset") (param $p i32) (result i32)
    (local $x i32)
    (local.set $x (i32.load offset=4 (local.get $p)))
    (i32.store offset=4 (local.get $p) (i32.const 7))
    local.get $x)
  (func (export "sum") (param $p i32) (result i32)
    (local $x i32)
    (local.set $x (i32.load offset=4 (local.get $p)))
    (i32.store (i32.add (local.get $p) (i32.const 4)) (i32.const 7))
    local.get $x))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 st4(VM *vm);
;;= VV_SMALL u32 fn0(VM *vm, u32 v0) { /* offset */
;;=   u32 v1, v2, v3;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   u32 const zero = vm->zero;
;;=   v1 = 0u;
;;=   v3 = vv_check(&fuel, size, v0, 4u, 8u, 1u, 0u);
;;=   v2 = vv_ld32(mem, v3 + 4u);
;;=   v1 = v2;
;;=   vv_st32(mem, v3 + 4u, (7u) | ((v2) & zero));
;;=   vm->fuel = fuel;
;;=   return v1;
;;= }
;;= VV_SMALL u32 fn1(VM *vm, u32 v0) { /* sum */
;;=   u32 v1, v2, v3;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   u32 const zero = vm->zero;
;;=   v1 = 0u;
;;=   v3 = vv_check(&fuel, size, v0, 4u, 8u, 1u, 0u);
;;=   v2 = vv_ld32(mem, v3 + 4u);
;;=   v1 = v2;
;;=   vv_st32(mem, v3 + 4u, (7u) | ((v2) & zero));
;;=   vm->fuel = fuel;
;;=   return v1;
;;= }
;;= VV_SMALL u32 st3(VM *vm) { /* enters offset */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 r = fn0(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 st4(VM *vm) { /* enters sum */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 r = fn1(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
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
