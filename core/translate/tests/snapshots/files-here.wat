;;! device-files
;; Where files that are only read lie on the device, it answers all that concerns them, and nothing suspends.
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
;;= VV_SMALL u32 fn7(VM *vm, u32 v0);
;;= VV_SMALL u32 st3(VM *vm);
;;= VV_SMALL u32 st3(VM *vm) { /* enters run */
;;=   u32 v0 = (u32)(vv_get(vm, 8u));
;;=   u32 r = fn7(vm, v0);
;;=   if (VV_STOPPED(vm)) return VV_HALT;
;;=   vv_put(vm, 8u, (u64)(r));
;;=   return (u32)vv_get(vm, 0u);
;;= }
;;= VV_SMALL u32 fn7(VM *vm, u32 v0) { /* run */
;;=   u32 v1, v2, v3, v4, v5, v6, v7, v8;
;;=   VV_PRIVATE(vm);
;;=   vv_gp const mem = VV_BASE(vm->mem);
;;=   u32 size = vm->size;
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 7u, 348u); return 0; }
;;=   v1 = vv_files_path_rename(vm, v0, 0x20u, 1u, v0, 0x28u, 1u);
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 348u); return 0; }
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 7u, 363u); return 0; }
;;=   v2 = vv_files_fd_readdir(vm, v0, 0x40u, 0x64u, (u64)0x0u, 8u);
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 363u); return 0; }
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 7u, 384u); return 0; }
;;=   v3 = vv_files_path_open(vm, v0, 1u, 0x20u, 4u, 0u, (u64)0x2u, (u64)0x0u, 0u, 8u);
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 384u); return 0; }
;;=   v4 = vv_a32(mem, 8u, 0u);
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 7u, 394u); return 0; }
;;=   v5 = vv_files_fd_renumber(vm, v4, 0u);
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 7u, 405u); return 0; }
;;=   v6 = vv_files_fd_read(vm, 0u, 0x10u, 1u, 8u);
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 405u); return 0; }
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 7u, 416u); return 0; }
;;=   v7 = vv_files_fd_write(vm, 1u, 0x10u, 1u, 8u);
;;=   if (VV_UNLIKELY(vm->end)) { vv_halt(vm, vm->end, 0u, 7u, 416u); return 0; }
;;=   if (VV_UNLIKELY(VV_STRAYED(vm))) { vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, 7u, 421u); return 0; }
;;=   v8 = vv_files_fd_close(vm, 0u);
;;=   return v8;
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
