;;! disk natural
;; Where guests can change files, the clock is asked of the host; accesses are assumed to be aligned all the same.
(module
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory 1 1)
  (func (export "run") (param $dir i32) (result i64)
    (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 8)))
    (drop (call $unlink (local.get $dir) (i32.const 32) (i32.const 1)))
    (i64.load (local.get $dir))))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 st4(VM *vm);
;;= VV_SMALL u32 st5(VM *vm);
;;= VV_SMALL u32 st3(VM *vm) { /* run state 0 */
;;=   u32 v4, v6;
;;=   u64 v5;
;;=   u32 fuel = vm->fuel;
;;=   VV_EDGE(2u, 138u, return VV_HALT)
;;=   v4 = 0u;
;;=   v5 = (u64)0x0u;
;;=   v6 = 8u;
;;=   vv_put(vm, 16u, (u64)(v4));
;;=   vv_put(vm, 24u, v5);
;;=   vv_put(vm, 32u, (u64)(v6));
;;=   vm->fuel = fuel;
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 2u, 145u); return VV_HALT; }
;;=   vm->request = 0; vm->error = 0;
;;=   vv_ask_clock_time_get(vm, v4, v5, v6);
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 2u, 145u); return VV_HALT; }
;;=   if (vm->error) return 4u;
;;=   vm->state = 4u;
;;=   vv_halt(vm, VV_CALL, 5u, 2u, 145u);
;;=   return VV_HALT;
;;= }
;;= VV_SMALL u32 st4(VM *vm) { /* run state 1 */
;;=   u32 v0, v1, v4, v6, v7, v8, v9;
;;=   u64 v5;
;;=   v0 = (u32)(vv_get(vm, 8u));
;;=   v4 = (u32)(vv_get(vm, 16u));
;;=   v5 = vv_get(vm, 24u);
;;=   v6 = (u32)(vv_get(vm, 32u));
;;=   v1 = vm->error ? vm->error & 0xffffu : vv_take_clock_time_get(vm, v4, v5, v6);
;;=   vm->error = 0;
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 2u, 145u); return VV_HALT; }
;;=   v7 = v0;
;;=   v8 = 0x20u;
;;=   v9 = 1u;
;;=   vv_put(vm, 40u, (u64)(v7));
;;=   vv_put(vm, 48u, (u64)(v8));
;;=   vv_put(vm, 56u, (u64)(v9));
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 2u, 154u); return VV_HALT; }
;;=   vm->request = 0; vm->error = 0;
;;=   vv_request_word(vm, v7);
;;=   vv_request_range(vm, v8, v9);
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 2u, 154u); return VV_HALT; }
;;=   if (vm->error) return 5u;
;;=   vm->state = 5u;
;;=   vv_halt(vm, VV_CALL, 39u, 2u, 154u);
;;=   return VV_HALT;
;;= }
;;= VV_SMALL u32 st5(VM *vm) { /* run state 2 */
;;=   u32 v0, v2, v7, v8, v9, v10;
;;=   u64 v3;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   u32 fuel = vm->fuel;
;;=   v0 = (u32)(vv_get(vm, 8u));
;;=   v7 = (u32)(vv_get(vm, 40u));
;;=   v8 = (u32)(vv_get(vm, 48u));
;;=   v9 = (u32)(vv_get(vm, 56u));
;;=   vm->fuel = fuel;
;;=   v2 = vm->error ? vm->error & 0xffffu : (u32)vv_answer_word(vm, 0);
;;=   vm->error = 0;
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 2u, 154u); return VV_HALT; }
;;=   fuel = vm->fuel;
;;=   v10 = vv_check(&fuel, size, v0, 0u, 8u, 8u, 0u);
;;=   v3 = vv_a64(mem, v10, 0u);
;;=   vm->fuel = fuel;
;;=   vv_put(vm, 8u, v3);
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_INLINE u32 vv_dispatch_nested(VM *vm, u32 state) {
;;=   switch (state) {
;;=   }
;;=   vv_halt(vm, VV_EXITED, 0, 0xffffffffu, 0xffffffffu);
;;=   return VV_HALT;
;;= }
;;= VV_INLINE u32 vv_dispatch(VM *vm, u32 state) {
;;=   switch (state) {
;;=   case 3u: return st3(vm);
;;=   case 4u: return st4(vm);
;;=   case 5u: return st5(vm);
;;=   }
;;=   return vv_dispatch_nested(vm, state);
;;= }
