;; The C library's functions, by their names, their signatures and what they do; a function that only has the name is what it is.
(module
  (memory (export "memory") 1)
  (func $memcpy (param i32 i32 i32) (result i32) (local $i i32)
    (if (local.get 2) (then
      (loop $more
        (i32.store8 (i32.add (local.get 0) (local.get $i)) (i32.load8_u (i32.add (local.get 1) (local.get $i))))
        (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get 2))))))
    local.get 0)
  (func $memset (param i32 i32 i32) (result i32)
    local.get 0
    local.get 1
    i32.store8
    i32.const 7)
  (func (export "f") (param i32) (result i32)
    i32.const 16
    local.get 0
    i32.const 8
    call $memcpy
    i32.const 1
    i32.const 2
    call $memset))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 fn2(VM *vm, u32 v0);
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 fn0(VM *vm, u32 v0, u32 v1, u32 v2) { /* memcpy */
;;=   if (v2) {
;;=     {
;;=       u32 end = vv_memory_copy(vm, v0, v1, v2);
;;=       if (VV_UNLIKELY(end)) { vv_halt(vm, end, VV_OUT_OF_BOUNDS_MEMORY, 0u, 54u); return 0; }
;;=     }
;;=   }
;;=   return v0;
;;= }
;;= VV_SMALL u32 fn1(VM *vm, u32 v0, u32 v1, u32 v2) { /* memset */
;;=   u32 v3;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   v3 = vv_check(&fuel, size, v0, 0u, 1u, 1u, 0u);
;;=   vv_sa8(mem, v3, 0u, (v1));
;;=   vm->fuel = fuel;
;;=   return 7u;
;;= }
;;= VV_SMALL u32 fn2(VM *vm, u32 v0) { /* f */
;;=   u32 v1, v2;
;;=   u32 fuel = vm->fuel;
;;=   VV_EDGE(2u, 116u, return 0)
;;=   vm->fuel = fuel;
;;=   v1 = fn0(vm, 0x10u, v0, 8u);
;;=   if (VV_STOPPED(vm)) return 0;
;;=   fuel = vm->fuel;
;;=   vm->fuel = fuel;
;;=   v2 = fn1(vm, v1, 1u, 2u);
;;=   fuel = vm->fuel;
;;=   vm->fuel = fuel;
;;=   return v2;
;;= }
;;= VV_SMALL u32 st3(VM *vm) { /* enters f */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 r = fn2(vm, v0);
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
