;;! files
;; Where guests have files, the host is asked what concerns them, and the device keeps its streams.
(module
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename" (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $list (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (memory 1 1)
  (func (export "run") (param $dir i32) (result i32)
    (drop (call $rename (local.get $dir) (i32.const 32) (i32.const 1) (local.get $dir) (i32.const 40) (i32.const 1)))
    (drop (call $list (local.get $dir) (i32.const 64) (i32.const 100) (i64.const 0) (i32.const 8)))
    (drop (call $open (local.get $dir) (i32.const 1) (i32.const 32) (i32.const 4) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)))
    (drop (call $renumber (i32.load (i32.const 8)) (i32.const 0)))
    (drop (call $read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 8)))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)))
    (call $close (i32.const 0))))

;;= #define VV_TABLE_LENGTH 0u
;;= #define VV_TABLE(i) 0u
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 st4(VM *vm);
;;= VV_SMALL u32 st5(VM *vm);
;;= VV_SMALL u32 st6(VM *vm);
;;= VV_SMALL u32 st7(VM *vm);
;;= VV_SMALL u32 st8(VM *vm);
;;= VV_SMALL u32 st9(VM *vm);
;;= VV_SMALL u32 st10(VM *vm);
;;= VV_SMALL u32 st3(VM *vm) { /* run state 0 */
;;=   u32 v0, v9, v10, v11, v12, v13, v14;
;;=   u32 fuel = vm->fuel;
;;=   v0 = (u32)(vv_get(vm, 8u));
;;=   VV_EDGE(7u, 335u, return VV_HALT)
;;=   v9 = v0;
;;=   v10 = 0x20u;
;;=   v11 = 1u;
;;=   v12 = v0;
;;=   v13 = 0x28u;
;;=   v14 = 1u;
;;=   vv_put(vm, 16u, (u64)(v9));
;;=   vv_put(vm, 24u, (u64)(v10));
;;=   vv_put(vm, 32u, (u64)(v11));
;;=   vv_put(vm, 40u, (u64)(v12));
;;=   vv_put(vm, 48u, (u64)(v13));
;;=   vv_put(vm, 56u, (u64)(v14));
;;=   vm->fuel = fuel;
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 7u, 348u); return VV_HALT; }
;;=   vm->request = 0; vm->error = 0;
;;=   vv_request_word(vm, v9);
;;=   vv_request_range(vm, v10, v11);
;;=   vv_request_word(vm, v12);
;;=   vv_request_range(vm, v13, v14);
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 348u); return VV_HALT; }
;;=   if (vm->error) return 4u;
;;=   vm->state = 4u;
;;=   vv_halt(vm, VV_CALL, 37u, 7u, 348u);
;;=   return VV_HALT;
;;= }
;;= VV_SMALL u32 st4(VM *vm) { /* run state 1 */
;;=   u32 v0, v1, v9, v10, v11, v12, v13, v14, v15, v16, v17, v19;
;;=   u64 v18;
;;=   v0 = (u32)(vv_get(vm, 8u));
;;=   v9 = (u32)(vv_get(vm, 16u));
;;=   v10 = (u32)(vv_get(vm, 24u));
;;=   v11 = (u32)(vv_get(vm, 32u));
;;=   v12 = (u32)(vv_get(vm, 40u));
;;=   v13 = (u32)(vv_get(vm, 48u));
;;=   v14 = (u32)(vv_get(vm, 56u));
;;=   v1 = vm->error ? vm->error & 0xffffu : (u32)vv_answer_word(vm, 0);
;;=   vm->error = 0;
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 348u); return VV_HALT; }
;;=   v15 = v0;
;;=   v16 = 0x40u;
;;=   v17 = 0x64u;
;;=   v18 = (u64)0x0u;
;;=   v19 = 8u;
;;=   vv_put(vm, 64u, (u64)(v15));
;;=   vv_put(vm, 72u, (u64)(v16));
;;=   vv_put(vm, 80u, (u64)(v17));
;;=   vv_put(vm, 88u, v18);
;;=   vv_put(vm, 96u, (u64)(v19));
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 7u, 363u); return VV_HALT; }
;;=   vm->request = 0; vm->error = 0;
;;=   vv_request_word(vm, v15);
;;=   vv_request_buffer(vm, v16, v17);
;;=   vv_request_word(vm, v18);
;;=   vv_request_result(vm, v19, 4u);
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 363u); return VV_HALT; }
;;=   if (vm->error) return 5u;
;;=   vm->state = 5u;
;;=   vv_halt(vm, VV_CALL, 22u, 7u, 363u);
;;=   return VV_HALT;
;;= }
;;= VV_SMALL u32 st5(VM *vm) { /* run state 2 */
;;=   u32 v0, v2, v15, v16, v17, v19, v20, v21, v22, v23, v24, v27, v28;
;;=   u64 v18, v25, v26;
;;=   v0 = (u32)(vv_get(vm, 8u));
;;=   v15 = (u32)(vv_get(vm, 64u));
;;=   v16 = (u32)(vv_get(vm, 72u));
;;=   v17 = (u32)(vv_get(vm, 80u));
;;=   v18 = vv_get(vm, 88u);
;;=   v19 = (u32)(vv_get(vm, 96u));
;;=   v2 = vm->error ? vm->error & 0xffffu : vv_take_buffer(vm, v16, v17, v19);
;;=   vm->error = 0;
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 363u); return VV_HALT; }
;;=   v20 = v0;
;;=   v21 = 1u;
;;=   v22 = 0x20u;
;;=   v23 = 4u;
;;=   v24 = 0u;
;;=   v25 = (u64)0x2u;
;;=   v26 = (u64)0x0u;
;;=   v27 = 0u;
;;=   v28 = 8u;
;;=   vv_put(vm, 104u, (u64)(v20));
;;=   vv_put(vm, 112u, (u64)(v21));
;;=   vv_put(vm, 120u, (u64)(v22));
;;=   vv_put(vm, 128u, (u64)(v23));
;;=   vv_put(vm, 136u, (u64)(v24));
;;=   vv_put(vm, 144u, v25);
;;=   vv_put(vm, 152u, v26);
;;=   vv_put(vm, 160u, (u64)(v27));
;;=   vv_put(vm, 168u, (u64)(v28));
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 7u, 384u); return VV_HALT; }
;;=   vm->request = 0; vm->error = 0;
;;=   vv_request_word(vm, v20);
;;=   vv_request_word(vm, v21);
;;=   vv_request_range(vm, v22, v23);
;;=   vv_request_word(vm, v24);
;;=   vv_request_word(vm, v25);
;;=   vv_request_word(vm, v26);
;;=   vv_request_word(vm, v27);
;;=   vv_request_word(vm, vv_streams(vm));
;;=   vv_request_result(vm, v28, 4u);
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 384u); return VV_HALT; }
;;=   if (vm->error) return 6u;
;;=   vm->state = 6u;
;;=   vv_halt(vm, VV_CALL, 34u, 7u, 384u);
;;=   return VV_HALT;
;;= }
;;= VV_SMALL u32 st6(VM *vm) { /* run state 3 */
;;=   u32 v3, v4, v20, v21, v22, v23, v24, v27, v28, v29, v30;
;;=   u64 v25, v26;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   v20 = (u32)(vv_get(vm, 104u));
;;=   v21 = (u32)(vv_get(vm, 112u));
;;=   v22 = (u32)(vv_get(vm, 120u));
;;=   v23 = (u32)(vv_get(vm, 128u));
;;=   v24 = (u32)(vv_get(vm, 136u));
;;=   v25 = vv_get(vm, 144u);
;;=   v26 = vv_get(vm, 152u);
;;=   v27 = (u32)(vv_get(vm, 160u));
;;=   v28 = (u32)(vv_get(vm, 168u));
;;=   v3 = vm->error ? vm->error & 0xffffu : vv_take_result(vm, v28);
;;=   vm->error = 0;
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 384u); return VV_HALT; }
;;=   v4 = vv_a32(mem, 8u, 0u);
;;=   v29 = v4;
;;=   v30 = 0u;
;;=   vv_put(vm, 176u, (u64)(v29));
;;=   vv_put(vm, 184u, (u64)(v30));
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 7u, 394u); return VV_HALT; }
;;=   vm->request = 0; vm->error = 0;
;;=   if (vv_stream(vm, v29) && vv_stream(vm, v30)) vm->error = VV_ANSWERED | vv_fd_renumber(vm, v29, v30);
;;=   else {
;;=   vv_request_word(vm, v29);
;;=   vv_request_word(vm, v30);
;;=   vv_request_word(vm, vv_streams(vm));
;;=   }
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 394u); return VV_HALT; }
;;=   if (vm->error) return 7u;
;;=   vm->state = 7u;
;;=   vv_halt(vm, VV_CALL, 23u, 7u, 394u);
;;=   return VV_HALT;
;;= }
;;= VV_SMALL u32 st7(VM *vm) { /* run state 4 */
;;=   u32 v5, v29, v30, v31, v32, v33, v34;
;;=   v29 = (u32)(vv_get(vm, 176u));
;;=   v30 = (u32)(vv_get(vm, 184u));
;;=   v5 = vm->error ? vm->error & 0xffffu : vv_take_renumber(vm, v29, v30);
;;=   vm->error = 0;
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 394u); return VV_HALT; }
;;=   v31 = 0u;
;;=   v32 = 0x10u;
;;=   v33 = 1u;
;;=   v34 = 8u;
;;=   vv_put(vm, 192u, (u64)(v31));
;;=   vv_put(vm, 200u, (u64)(v32));
;;=   vv_put(vm, 208u, (u64)(v33));
;;=   vv_put(vm, 216u, (u64)(v34));
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 7u, 405u); return VV_HALT; }
;;=   vm->request = 0; vm->error = 0;
;;=   if (vv_stream(vm, v31)) vm->error = VV_ANSWERED | vv_fd_read(vm, v31, v32, v33, v34);
;;=   else {
;;=   vv_request_word(vm, v31);
;;=   vv_request_into(vm, v32, v33);
;;=   vv_request_result(vm, v34, 4u);
;;=   }
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 405u); return VV_HALT; }
;;=   if (vm->error) return 8u;
;;=   vm->state = 8u;
;;=   vv_halt(vm, VV_CALL, 21u, 7u, 405u);
;;=   return VV_HALT;
;;= }
;;= VV_SMALL u32 st8(VM *vm) { /* run state 5 */
;;=   u32 v6, v31, v32, v33, v34, v35, v36, v37, v38;
;;=   v31 = (u32)(vv_get(vm, 192u));
;;=   v32 = (u32)(vv_get(vm, 200u));
;;=   v33 = (u32)(vv_get(vm, 208u));
;;=   v34 = (u32)(vv_get(vm, 216u));
;;=   v6 = vm->error ? vm->error & 0xffffu : vv_take_into(vm, v32, v33, v34);
;;=   vm->error = 0;
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 405u); return VV_HALT; }
;;=   v35 = 1u;
;;=   v36 = 0x10u;
;;=   v37 = 1u;
;;=   v38 = 8u;
;;=   vv_put(vm, 224u, (u64)(v35));
;;=   vv_put(vm, 232u, (u64)(v36));
;;=   vv_put(vm, 240u, (u64)(v37));
;;=   vv_put(vm, 248u, (u64)(v38));
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 7u, 416u); return VV_HALT; }
;;=   vm->request = 0; vm->error = 0;
;;=   if (vv_stream(vm, v35)) vm->error = VV_ANSWERED | vv_fd_write(vm, v35, v36, v37, v38);
;;=   else {
;;=   vv_request_word(vm, v35);
;;=   vv_request_from(vm, v36, v37);
;;=   vv_request_result(vm, v38, 4u);
;;=   }
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 416u); return VV_HALT; }
;;=   if (vm->flush) vm->error = 0;
;;=   if (vm->error) return 9u;
;;=   vm->state = 9u;
;;=   vv_halt(vm, VV_CALL, vm->flush ? 0xffffffffu : 28u, 7u, 416u);
;;=   return VV_HALT;
;;= }
;;= VV_SMALL u32 st9(VM *vm) { /* run state 6 */
;;=   u32 v7, v35, v36, v37, v38, v39;
;;=   v35 = (u32)(vv_get(vm, 224u));
;;=   v36 = (u32)(vv_get(vm, 232u));
;;=   v37 = (u32)(vv_get(vm, 240u));
;;=   v38 = (u32)(vv_get(vm, 248u));
;;=   v7 = vm->error ? vm->error & 0xffffu : vv_stream(vm, v35) ? vv_fd_write(vm, v35, v36, v37, v38) : vv_take_result(vm, v38);
;;=   vm->error = 0;
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 416u); return VV_HALT; }
;;=   v39 = 0u;
;;=   vv_put(vm, 256u, (u64)(v39));
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 7u, 421u); return VV_HALT; }
;;=   vm->request = 0; vm->error = 0;
;;=   if (vv_stream(vm, v39)) vm->error = VV_ANSWERED | vv_fd_close(vm, v39);
;;=   else {
;;=   vv_request_word(vm, v39);
;;=   }
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 421u); return VV_HALT; }
;;=   if (vm->error) return 10u;
;;=   vm->state = 10u;
;;=   vv_halt(vm, VV_CALL, 8u, 7u, 421u);
;;=   return VV_HALT;
;;= }
;;= VV_SMALL u32 st10(VM *vm) { /* run state 7 */
;;=   u32 v8, v39;
;;=   v39 = (u32)(vv_get(vm, 256u));
;;=   v8 = vm->error ? vm->error & 0xffffu : (u32)vv_answer_word(vm, 0);
;;=   vm->error = 0;
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 421u); return VV_HALT; }
;;=   vv_put(vm, 8u, (u64)(v8));
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
;;=   case 6u: return st6(vm);
;;=   case 7u: return st7(vm);
;;=   case 8u: return st8(vm);
;;=   case 9u: return st9(vm);
;;=   case 10u: return st10(vm);
;;=   }
;;=   return vv_dispatch_nested(vm, state);
;;= }
