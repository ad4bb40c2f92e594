;;! natural shared-data
;; Loads surely in .rodata are constants or go to the one copy; a store that may go there is tested, neighbours at once, far ones each.
(module
  (memory (export "memory") 1 1)
  (data $.rodata (i32.const 1000) "\01\02\03\04\ff\06\07\08\09\0a\0b\0c\0d\0e\0f\10table of bytes that are read, and never written, by a load that may meet more than 64 of them, or else nothing would be shared at all")
  (data $.data (i32.const 2000) "x")
  (func (export "load") (param $i i32) (result i32)
    (i32.add
      (i32.add
        (i32.load (i32.const 1000))
        (i32.load8_s offset=4 (i32.const 1000)))
      (i32.add ;; a table
        (i32.load offset=1000 (i32.shl (i32.and (local.get $i) (i32.const 7)) (i32.const 2)))
        (i32.load8_u (i32.add (i32.and (local.get $i) (i32.const 127)) (i32.const 1004))))))
  ;; Beyond the end, not aligned, anywhere: from the VM's own memory.
  (func (export "own") (param $i i32) (result i32)
    (i32.add
      (i32.add
        (i32.load8_u offset=1000 (i32.and (local.get $i) (i32.const 255)))
        (i32.load offset=1001 align=1 (i32.shl (i32.and (local.get $i) (i32.const 7)) (i32.const 2))))
      (i32.load (local.get $i))))
  (func (export "store") (param $p i32)
    (i32.store (local.get $p) (i32.const 1))
    (i64.store offset=16 (local.get $p) (i64.const 2))
    ;; These cannot meet it.
    (i32.store (i32.const 2000) (i32.const 3))
    (i32.store8 offset=2000 (local.get $p) (i32.const 4))
    (i32.store16 (i32.and (local.get $p) (i32.const 510)) (i32.const 5))
    ;; In memory, but perhaps there.
    (i32.store8 (i32.and (local.get $p) (i32.const 2047)) (i32.const 6)))
  ;; The table lies between these; both are in memory, so no check has joined them.
  (func (export "around") (param $p i32) (local $q i32)
    (local.set $q (i32.and (local.get $p) (i32.const 248)))
    (i32.store offset=800 (local.get $q) (i32.const 7))
    (i32.store offset=1140 (local.get $q) (i32.const 8))
    (i32.store offset=808 (local.get $q) (i32.const 9)))
  (func (export "fill") (param $p i32) (param $n i32)
    (loop
      (memory.fill (local.get $p) (i32.const 0) (local.get $n))
      (br_if 0 (i32.load (local.get $p))))))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 st4(VM *vm);
;;= VV_SMALL u32 st5(VM *vm);
;;= VV_SMALL u32 st6(VM *vm);
;;= VV_SMALL void fn4(VM *vm, u32 v0, u32 v1);
;;= VV_SMALL u32 st7(VM *vm);
;;= VV_SMALL u32 fn0(VM *vm, u32 v0) { /* load */
;;=   u32 v1, v2, v3, v4;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   vv_gp const shared = VV_BASE(vm->shared);
;;=   v1 = 0x4030201u;
;;=   v2 = 0xffffffffu;
;;=   v3 = vv_ro32(shared, ((v0 & 7u) << (2u & 31)) + 1000u);
;;=   v4 = vv_ro8(shared, ((v0 & 0x7fu) + 0x3ecu) + 0u);
;;=   return ((v1 + v2) + (v3 + v4));
;;= }
;;= VV_SMALL u32 fn1(VM *vm, u32 v0) { /* own */
;;=   u32 v1, v2, v3, v4;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   v1 = vv_a8(mem, (v0 & 0xffu), 1000u);
;;=   v2 = vv_ld32(mem, ((v0 & 7u) << (2u & 31)) + 1001u);
;;=   v4 = vv_check(&fuel, size, v0, 0u, 4u, 4u, 0u);
;;=   v3 = vv_a32(mem, v4, 0u);
;;=   vm->fuel = fuel;
;;=   return ((v1 + v2) + v3);
;;= }
;;= VV_SMALL void fn2(VM *vm, u32 v0) { /* store */
;;=   u32 v1, v2, v3;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   v1 = vv_check(&fuel, size, v0, 0u, 24u, 8u, 0u);
;;=   if (VV_UNLIKELY(vv_shares(v1 + 0u, 24u))) fuel |= VV_VIOLATION;
;;=   vv_sa32(mem, v1, 0u, (1u));
;;=   vv_sa64(mem, v1, 16u, ((u64)0x2u));
;;=   vv_sa32(mem, 0x7d0u, 0u, (3u));
;;=   v2 = vv_check(&fuel, size, v0, 2000u, 2001u, 1u, 0u);
;;=   vv_sa8(mem, v2, 2000u, (4u));
;;=   vv_sa16(mem, (v0 & 0x1feu), 0u, (5u));
;;=   v3 = (v0 & 0x7ffu);
;;=   if (VV_UNLIKELY(vv_shares(v3 + 0u, 1u))) fuel |= VV_VIOLATION;
;;=   vv_sa8(mem, v3, 0u, (6u));
;;=   vm->fuel = fuel;
;;=   return;
;;= }
;;= VV_SMALL void fn3(VM *vm, u32 v0) { /* around */
;;=   u32 v1;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   v1 = 0u;
;;=   v1 = (v0 & 0xf8u);
;;=   if (VV_UNLIKELY(vv_shares(v1 + 800u, 12u))) fuel |= VV_VIOLATION;
;;=   vv_sa32(mem, v1, 800u, (7u));
;;=   if (VV_UNLIKELY(vv_shares(v1 + 1140u, 4u))) fuel |= VV_VIOLATION;
;;=   vv_sa32(mem, v1, 1140u, (8u));
;;=   vv_sa32(mem, v1, 808u, (9u));
;;=   vm->fuel = fuel;
;;=   return;
;;= }
;;= VV_SMALL u32 st3(VM *vm) { /* enters load */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 r = fn0(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 st4(VM *vm) { /* enters own */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 r = fn1(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 st5(VM *vm) { /* enters store */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   fn2(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 st6(VM *vm) { /* enters around */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   fn3(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 st7(VM *vm) { /* enters fill */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 v1 = (u32)(vv_get(vm, 16u));
;;=   fn4(vm, v0, v1);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL void fn4(VM *vm, u32 v0, u32 v1) { /* fill */
;;=   u32 v2, v3;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   for (;;) {
;;=     vm->fuel = fuel;
;;=     {
;;=       u32 end = vv_memory_fill(vm, v0, 0u, v1);
;;=       if (VV_UNLIKELY(end)) { vv_halt(vm, end, VV_OUT_OF_BOUNDS_MEMORY, 4u, 269u); return; }
;;=       fuel = vm->fuel;
;;=     }
;;=     v3 = vv_check(&fuel, size, v0, 0u, 4u, 4u, 0u);
;;=     v2 = vv_a32(mem, v3, 0u);
;;=     if (v2) {
;;=       goto L1;
;;=     }
;;=     break;
;;=     L1: ;
;;=     VV_COUNT(vm, direct);
;;=     VV_EDGE(4u, 261u, return)
;;=   }
;;=   vm->fuel = fuel;
;;=   return;
;;= }
;;= VV_INLINE u32 vv_dispatch_nested(VM *vm, u32 state) {
;;=   switch (state) {
;;=   case 3u: return st3(vm);
;;=   case 4u: return st4(vm);
;;=   case 5u: return st5(vm);
;;=   case 6u: return st6(vm);
;;=   case 7u: return st7(vm);
;;=   }
;;=   vv_halt(vm, VV_EXITED, 0, 0xffffffffu, 0xffffffffu);
;;=   return VV_HALT;
;;= }
;;= VV_INLINE u32 vv_dispatch(VM *vm, u32 state) {
;;=   switch (state) {
;;=   }
;;=   return vv_dispatch_nested(vm, state);
;;= }
