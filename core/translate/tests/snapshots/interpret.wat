;;! interpret
(module
  (memory 1)
  (table 2 funcref)
  (elem (i32.const 0) $next $sum)
  (type $one (func (param i32) (result i32)))
  (global $calls (mut i32) (i32.const 0))
  (func $next (type $one)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.add (local.get 0) (i32.load offset=8 (local.get 0))))
  ;; A loop, a branch out of it, and a division that can trap.
  (func $sum (type $one)
    (local $at i32) (local $sum i32)
    (block $end
      (loop $more
        (br_if $end (i32.ge_u (local.get $at) (local.get 0)))
        (local.set $sum (i32.add (local.get $sum) (i32.div_u (i32.const 100) (local.get $at))))
        (local.set $at (call $next (local.get $at)))
        (br $more)))
    (i64.store align=4 (i32.const 16) (i64.extend_i32_u (local.get $sum)))
    (local.get $sum))
  (func (export "pick") (param i32 i32) (result i32)
    (block $c (block $b (block $a
      (br_table $a $b $c (local.get 0)))
      (return (call_indirect (type $one) (local.get 1) (local.get 0))))
      (memory.fill (i32.const 0) (local.get 1) (i32.const 3)))
    (select (i32.const 7) (local.get 1) (local.get 0))))

;;= row 3: 4 2 0 0, 0 0
;;= row 4: 13 3 2 0, 1 0
;;= row 5: 14 65535 3 0, 0 0
;;= row 6: 5 2 1 0, 8 12
;;= row 7: 16 3 1 2, 0 0
;;= row 8: 3 0 3 0, 0 0
;;= row 9: 6 65535 0 0, 0 0
;;= row 10: 18 2 0 0, 0 0
;;= row 11: 18 3 0 0, 0 0
;;= row 12: 1 65535 2 1, 304 0
;;= row 13: 18 5 0 0, 100 0
;;= row 14: 20 4 5 2, 0 0
;;= row 15: 2 3 3 4, 0 0
;;= row 16: 21 6 2 0, 0 0
;;= row 17: 22 65535 0 2, 0 5
;;= row 18: 0 65535 0 0, 192 0
;;= row 19: 7 5 0 0, 16 0
;;= row 20: 23 6 3 0, 0 0
;;= row 21: 24 65535 5 6, 0 8
;;= row 22: 3 0 3 0, 0 0
;;= row 23: 8 65535 0 0, 0 0
;;= row 24: 25 65535 1 0, 2 0
;;= row 25: 416 0 464 0, 528 0
;;= row 26: 9 5 2 0, 0 0
;;= row 27: 26 65535 1 3, 0 4
;;= row 28: 3 0 3 0, 0 0
;;= row 29: 10 4 0 0, 0 0
;;= row 30: 21 5 2 0, 0 0
;;= row 31: 18 6 0 0, 3 0
;;= row 32: 29 65535 4 0, 0 0
;;= row 33: 11 5 0 0, 7 0
;;= row 34: 27 4 5 2, 1 0
;;= row 35: 3 0 4 0, 0 0
;;= row 36: 48 0 0 0, 5 0
;;= row 37: 144 0 0 0, 9 0
;;= row 38: 368 0 1 0, 8 0
;;= row 39: 0 0 0 0, 0 0
;;= row 40: 0 0 0 0, 83 83
;;= row 41: 83 0 116 0, 116 116
;;= row 42: 116 0 116 0, 110 110
;;= row 43: 110 0 116 0, 94 94
;;= row 44: 94 0 129 0, 129 155
;;= row 45: 155 0 0 0, 155 155
;;= row 46: 155 0 155 0, 155 155
;;= row 47: 166 0 166 0, 166 166
;;=   case 29u: { 
;;=   u32 v0 = (u32)(x);
;;=   u32 v1 = (u32)(VV_REG(a + 1));
;;=   u32 v2 = (u32)(VV_REG(a + 2));
;;=   {
;;=     u32 end = vv_memory_fill(vm, v0, v1, v2);
;;=     if (VV_UNLIKELY(end)) { vv_halt(vm, end, VV_OUT_OF_BOUNDS_MEMORY, vv_function(vm, pc), VV_SITE(pc)); return VV_HALT; }
;;=   }
;;=  break; }
;;=   case 6u: case 8u: case 17u: { VV_CHARGE_HERE break; }
;;=   case 0u: { VV_CHARGE_HERE pc = (u32)imm / 16; break; }
;;=   case 22u: { VV_TRAP_HERE(VV_STACK_EXHAUSTED) break; }
;;=   case 2u: case 16u: { r = (u64)((((u32)(x)) + ((u32)(y)))); break; }
;;=   case 7u: case 10u: case 11u: case 18u: { r = imm; break; }
;;=   case 4u: case 12u: { r = vv_w64(head, (u32)vv_pinned((u32)imm)); break; }
;;=   case 9u: case 21u: { r = x; break; }
;;=   case 5u: case 15u: { u32 ea = (u32)x + (u32)imm; if ((u64)(u32)x + (u32)imm + 4 > size) { VV_TRAP_HERE(VV_OUT_OF_BOUNDS_MEMORY) } r = (u64)(vv_ld32(mem, ea)); break; }
;;=   case 24u: { u32 ea = (u32)x + (u32)imm; if ((u64)(u32)x + (u32)imm + 8 > size) { VV_TRAP_HERE(VV_OUT_OF_BOUNDS_MEMORY) } vv_st64(mem, ea, (y)); break; }
;;=   case 26u: { u32 f = (u32)x; if (f >= VV_TABLE_LENGTH) { VV_TRAP_HERE(VV_UNDEFINED_ELEMENT) } f = VV_TABLE(f); if (!f) { VV_TRAP_HERE(VV_UNINITIALIZED_ELEMENT) } f--; if (vv_rd32(VV_ROW(f) + 4) != (u32)imm) { VV_TRAP_HERE(VV_INDIRECT_CALL_TYPE) } VV_TRAP_HERE(VV_STACK_EXHAUSTED) break; }
;;=   case 20u: { u32 p = (u32)(x), q = (u32)(y); u32 t = q == 0 ? VV_DIVIDE_BY_ZERO : 0u; if (t) { VV_TRAP_HERE(t) } r = (u64)((p / q)); break; }
;;=   case 28u: { vv_halt(vm, VV_EXITED, 0, 0xffffffffu, 0xffffffffu); return VV_HALT; break; }
;;= VV_SLOW_END
;;= VV_FAST_BEGIN
;;=   if (op < 9u) {
;;=   if (op < 3u) {
;;=   if (op < 1u) {
;;=   { VV_ROWS_1 { if (VV_SPENT) { fuel++; VV_LEAVE(0) } VV_GO(0)}  }
;;=   } else {
;;=   if (op < 2u) {
;;=   { VV_ROWS_3 { u64 const x = VV_X(0); u64 const y = VV_Y(0); if ((u32)(((u32)(x)) >= ((u32)(y)))) VV_GO(0)} u64 r1; { u64 r; r = VV_IMM(1); r1 = r; } u64 r2; { u64 const x = r1; u64 const y = VV_Y(2); u64 r; u32 p = (u32)(x), q = (u32)(y); if (VV_UNLIKELY(q == 0 ? VV_DIVIDE_BY_ZERO : 0u)) VV_LEAVE(1) r = (u64)((p / q)); r2 = r; VV_SET(VV_D(2), r); } VV_NEXT(3) }
;;=   } else {
;;=   { VV_ROWS_3 u64 r0; { u64 const x = VV_X(0); u64 const y = VV_Y(0); u64 r; r = (u64)((((u32)(x)) + ((u32)(y)))); r0 = r; VV_SET(VV_D(0), r); } u64 r1; { u64 const x = VV_X(1); u64 r; r = x; r1 = r; VV_SET(VV_D(1), r); } { u32 f = VV_LOW(2); VV_ENTER_FUNCTION(f, 2, VV_LEAVE(2))}  }
;;=   }
;;=   }
;;=   } else {
;;=   if (op < 5u) {
;;=   if (op < 4u) {
;;=   { VV_ROWS_1 u64 r0; { u64 const x = VV_X(0); VV_LEAVE_FUNCTION_WITH(x)}  }
;;=   } else {
;;=   { VV_ROWS_3 u64 r0; { u64 r; r = vv_w64(head, (u32)vv_pinned(VV_LOW(0))); r0 = r; } u64 r1; { u64 const x = r0; u64 r; r = (u64)((((u32)(x)) + ((u32)(VV_IMM(1))))); r1 = r; } { u64 const x = r1; vv_sw64(head, (u32)vv_pinned(VV_LOW(2)), x);} VV_NEXT(3) }
;;=   }
;;=   } else {
;;=   if (op < 6u) {
;;=   { VV_ROWS_3 u64 r0; { u64 const x = VV_X(0); u64 r; u32 ea = (u32)x + VV_LOW(0); if (VV_UNLIKELY(((u32)x > size - VV_HIGH(0)) | VV_ODD(ea, 4u))) VV_LEAVE(0) r = (u64)(vv_a32(mem, ea, 0u)); r0 = r; } u64 r1; { u64 const x = VV_X(1); u64 const y = r0; u64 r; r = (u64)((((u32)(x)) + ((u32)(y)))); r1 = r; } u64 r2; { u64 const x = r1; VV_LEAVE_FUNCTION_WITH(x)}  }
;;=   } else {
;;=   if (op < 7u) {
;;=   { VV_ROWS_3 { if (VV_SPENT) { fuel++; VV_LEAVE(0) }} u64 r1; { u64 r; r = VV_IMM(1); r1 = r; VV_SET(VV_D(1), r); } u64 r2; { u64 r; r = VV_IMM(2); r2 = r; VV_SET(VV_D(2), r); } VV_NEXT(3) }
;;=   } else {
;;=   if (op < 8u) {
;;=   { VV_ROWS_3 u64 r0; { u64 r; r = VV_IMM(0); r0 = r; } u64 r1; { u64 const x = VV_X(1); u64 r; r = (u64)((u32)(x)); r1 = r; } { u64 const x = r0; u64 const y = r1; u32 ea = (u32)x + VV_LOW(2); if (VV_UNLIKELY(((u32)x > size - VV_HIGH(2)) | VV_ODD(ea, 4u))) VV_LEAVE(0) vv_sh64(mem, ea, 0u, (y));} VV_NEXT(3) }
;;=   } else {
;;=   { VV_ROWS_2 { if (VV_SPENT) { fuel++; VV_LEAVE(0) }} { u64 const x = VV_X(1); u32 i = (u32)x < VV_LOW(1) ? (u32)x : VV_LOW(1); VV_GO_TO(vv_rd32(VV_ROW_AT(1 + 1) + (u64)i * 4))}  }
;;=   }
;;=   }
;;=   }
;;=   }
;;=   }
;;=   } else {
;;=   if (op < 19u) {
;;=   if (op < 12u) {
;;=   if (op < 10u) {
;;=   { VV_ROWS_2 u64 r0; { u64 const x = VV_X(0); u64 r; r = x; r0 = r; VV_SET(VV_D(0), r); } { u64 const x = VV_X(1); u32 f = (u32)x < VV_TABLE_LENGTH ? VV_TABLE((u32)x) : 0; if (!f) VV_LEAVE(1) f--; if (vv_rd32(VV_ROW(f) + 4) != VV_LOW(1)) VV_LEAVE(1) VV_ENTER_FUNCTION(f, 1, VV_LEAVE(1))}  }
;;=   } else {
;;=   if (op < 11u) {
;;=   { VV_ROWS_3 u64 r0; { u64 r; r = VV_IMM(0); r0 = r; VV_SET(VV_D(0), r); } u64 r1; { u64 const x = VV_X(1); u64 r; r = x; r1 = r; VV_SET(VV_D(1), r); } u64 r2; { u64 r; r = VV_IMM(2); r2 = r; VV_SET(VV_D(2), r); } VV_NEXT(3) }
;;=   } else {
;;=   { VV_ROWS_3 u64 r0; { u64 r; r = VV_IMM(0); r0 = r; } u64 r1; { u64 const x = r0; u64 const y = VV_Y(1); u64 const z = VV_REG(VV_LOW(1)); u64 r; r = z ? x : y; r1 = r; } u64 r2; { u64 const x = r1; VV_LEAVE_FUNCTION_WITH(x)}  }
;;=   }
;;=   }
;;=   } else {
;;=   if (op < 15u) {
;;=   if (op < 13u) {
;;=   { VV_ROWS_1 u64 r0; { u64 r; r = vv_w64(head, (u32)vv_pinned(VV_LOW(0))); r0 = r; VV_SET(VV_D(0), r); } VV_NEXT(1) }
;;=   } else {
;;=   if (op < 14u) {
;;=   { VV_ROWS_1 u64 r0; { u64 const x = VV_X(0); u64 r; r = (u64)((((u32)(x)) + ((u32)(VV_IMM(0))))); r0 = r; VV_SET(VV_D(0), r); } VV_NEXT(1) }
;;=   } else {
;;=   { VV_ROWS_1 { u64 const x = VV_X(0); vv_sw64(head, (u32)vv_pinned(VV_LOW(0)), x);} VV_NEXT(1) }
;;=   }
;;=   }
;;=   } else {
;;=   if (op < 16u) {
;;=   { VV_ROWS_1 u64 r0; { u64 const x = VV_X(0); u64 r; u32 ea = (u32)x + VV_LOW(0); if (VV_UNLIKELY(((u32)x > size - VV_HIGH(0)) | VV_ODD(ea, 4u))) VV_LEAVE(0) r = (u64)(vv_a32(mem, ea, 0u)); r0 = r; VV_SET(VV_D(0), r); } VV_NEXT(1) }
;;=   } else {
;;=   if (op < 17u) {
;;=   { VV_ROWS_1 u64 r0; { u64 const x = VV_X(0); u64 const y = VV_Y(0); u64 r; r = (u64)((((u32)(x)) + ((u32)(y)))); r0 = r; VV_SET(VV_D(0), r); } VV_NEXT(1) }
;;=   } else {
;;=   if (op < 18u) {
;;=   { VV_ROWS_1 { if (VV_SPENT) { fuel++; VV_LEAVE(0) }} VV_NEXT(1) }
;;=   } else {
;;=   { VV_ROWS_1 u64 r0; { u64 r; r = VV_IMM(0); r0 = r; VV_SET(VV_D(0), r); } VV_NEXT(1) }
;;=   }
;;=   }
;;=   }
;;=   }
;;=   }
;;=   } else {
;;=   if (op < 26u) {
;;=   if (op < 22u) {
;;=   if (op < 20u) {
;;=   { VV_ROWS_1 { u64 const x = VV_X(0); u64 const y = VV_Y(0); if ((u32)(((u32)(x)) >= ((u32)(y)))) VV_GO(0)} VV_NEXT(1) }
;;=   } else {
;;=   if (op < 21u) {
;;=   { VV_ROWS_1 u64 r0; { u64 const x = VV_X(0); u64 const y = VV_Y(0); u64 r; u32 p = (u32)(x), q = (u32)(y); if (VV_UNLIKELY(q == 0 ? VV_DIVIDE_BY_ZERO : 0u)) VV_LEAVE(0) r = (u64)((p / q)); r0 = r; VV_SET(VV_D(0), r); } VV_NEXT(1) }
;;=   } else {
;;=   { VV_ROWS_1 u64 r0; { u64 const x = VV_X(0); u64 r; r = x; r0 = r; VV_SET(VV_D(0), r); } VV_NEXT(1) }
;;=   }
;;=   }
;;=   } else {
;;=   if (op < 23u) {
;;=   { VV_ROWS_1 { u32 f = VV_LOW(0); VV_ENTER_FUNCTION(f, 0, VV_LEAVE(0))}  }
;;=   } else {
;;=   if (op < 24u) {
;;=   { VV_ROWS_1 u64 r0; { u64 const x = VV_X(0); u64 r; r = (u64)((u32)(x)); r0 = r; VV_SET(VV_D(0), r); } VV_NEXT(1) }
;;=   } else {
;;=   if (op < 25u) {
;;=   { VV_ROWS_1 { u64 const x = VV_X(0); u64 const y = VV_Y(0); u32 ea = (u32)x + VV_LOW(0); if (VV_UNLIKELY(((u32)x > size - VV_HIGH(0)) | VV_ODD(ea, 4u))) VV_LEAVE(0) vv_sh64(mem, ea, 0u, (y));} VV_NEXT(1) }
;;=   } else {
;;=   { VV_ROWS_1 { u64 const x = VV_X(0); u32 i = (u32)x < VV_LOW(0) ? (u32)x : VV_LOW(0); VV_GO_TO(vv_rd32(VV_ROW_AT(0 + 1) + (u64)i * 4))}  }
;;=   }
;;=   }
;;=   }
;;=   }
;;=   } else {
;;=   if (op < 28u) {
;;=   if (op < 27u) {
;;=   { VV_ROWS_1 { u64 const x = VV_X(0); u32 f = (u32)x < VV_TABLE_LENGTH ? VV_TABLE((u32)x) : 0; if (!f) VV_LEAVE(0) f--; if (vv_rd32(VV_ROW(f) + 4) != VV_LOW(0)) VV_LEAVE(0) VV_ENTER_FUNCTION(f, 0, VV_LEAVE(0))}  }
;;=   } else {
;;=   { VV_ROWS_1 u64 r0; { u64 const x = VV_X(0); u64 const y = VV_Y(0); u64 const z = VV_REG(VV_LOW(0)); u64 r; r = z ? x : y; r0 = r; VV_SET(VV_D(0), r); } VV_NEXT(1) }
;;=   }
;;=   } else {
;;=   VV_OTHERS
;;=   }
;;=   }
;;=   }
;;=   }
;;= VV_FAST_END
