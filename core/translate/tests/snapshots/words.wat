;; Words that lie side by side go by 16 bytes where they are aligned so far; a load of one of them again, or a computation that a store
;; before needs otherwise, ends that.
;;! natural cells-of-16
(module (memory 1)
  (func (export "copy") (param $p i32) (param $q i32) (result i32)
    (local $a i32) (local $b i32) (local $c i32) (local $d i32) (local $s i32)
    (local.set $s (i32.load (local.get $p)))
    (local.set $a (i32.load offset=16 (local.get $p)))
    (local.set $s (i32.mul (local.get $s) (i32.const 31)))
    (local.set $b (i32.load offset=12 (local.get $p)))
    (local.set $s (i32.add (local.get $s) (i32.load offset=8 (local.get $p))))
    (local.set $c (i32.load (i32.add (local.get $p) (i32.const 4))))
    (local.set $d (i32.add (i32.load offset=28 (local.get $p)) (i32.load offset=24 (local.get $p))))
    (local.set $d (i32.add (local.get $d) (i32.load offset=20 (local.get $p))))
    (i64.store (local.get $q) (i64.extend_i32_u (local.get $a)))
    (i64.store offset=16 (local.get $q) (i64.extend_i32_u (local.get $b)))
    (i64.store offset=8 (local.get $q) (i64.extend_i32_u (local.get $c)))
    (i64.store offset=24 (local.get $q) (i64.extend_i32_u (local.get $d)))
    (local.set $d (i32.const 7))
    (i64.store offset=32 (local.get $q) (i64.extend_i32_u (local.get $d)))
    local.get $s))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 fn0(VM *vm, u32 v0, u32 v1);
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 st3(VM *vm) { /* enters copy */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 v1 = (u32)(vv_get(vm, 16u));
;;=   u32 r = fn0(vm, v0, v1);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 fn0(VM *vm, u32 v0, u32 v1) { /* copy */
;;=   u32 v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14, v15, v16;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   v2 = 0u;
;;=   v3 = 0u;
;;=   v4 = 0u;
;;=   v5 = 0u;
;;=   v6 = 0u;
;;=   v15 = vv_check(&fuel, size, v0, 0u, 32u, 4u, 0u);
;;=   if (VV_PAIRED(v15 + 0u)) {
;;=     { u64 low, high; vv_a128(mem, v15, 0u, &low, &high); v7 = (u32)(low >> 0); v11 = (u32)(low >> 32); v10 = (u32)(high >> 0); v9 = (u32)(high >> 32); }
;;=     { u64 low, high; vv_a128(mem, v15, 16u, &low, &high); v8 = (u32)(low >> 0); v14 = (u32)(low >> 32); v13 = (u32)(high >> 0); v12 = (u32)(high >> 32); }
;;=   } else {
;;=     v7 = vv_a32(mem, v15, 0u);
;;=     v11 = vv_a32(mem, v15, 4u);
;;=     v10 = vv_a32(mem, v15, 8u);
;;=     v9 = vv_a32(mem, v15, 12u);
;;=     v8 = vv_a32(mem, v15, 16u);
;;=     v14 = vv_a32(mem, v15, 20u);
;;=     v13 = vv_a32(mem, v15, 24u);
;;=     v12 = vv_a32(mem, v15, 28u);
;;=   }
;;=   v6 = v7;
;;=   v2 = v8;
;;=   v6 = (v6 * 0x1fu);
;;=   v3 = v9;
;;=   v6 = (v6 + v10);
;;=   v4 = v11;
;;=   v5 = (v12 + v13);
;;=   v5 = (v5 + v14);
;;=   v16 = vv_check(&fuel, size, v1, 0u, 40u, 8u, 0u);
;;=   if (VV_PAIRED(v16 + 0u)) {
;;=     vv_sa128(mem, v16, 0u, ((u64)((u64)v2) << 0), ((u64)((u64)v4) << 0));
;;=     vv_sa128(mem, v16, 16u, ((u64)((u64)v3) << 0), ((u64)((u64)v5) << 0));
;;=   } else {
;;=     vv_sa64(mem, v16, 0u, ((u64)v2));
;;=     vv_sa64(mem, v16, 8u, ((u64)v4));
;;=     vv_sa64(mem, v16, 16u, ((u64)v3));
;;=     vv_sa64(mem, v16, 24u, ((u64)v5));
;;=   }
;;=   v5 = 7u;
;;=   vv_sa64(mem, v16, 32u, ((u64)v5));
;;=   vm->fuel = fuel;
;;=   return v6;
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
