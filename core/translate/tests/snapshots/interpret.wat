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

;;= row 3: 9 2 0 0, 0 0
;;= row 4: 10 3 2 0, 1 0
;;= row 5: 11 65535 3 0, 0 0
;;= row 6: 12 2 1 0, 8 12
;;= row 7: 2 3 1 2, 0 0
;;= row 8: 7 0 3 0, 0 0
;;= row 9: 8 65535 0 0, 0 0
;;= row 10: 1 2 0 0, 0 0
;;= row 11: 1 3 0 0, 0 0
;;= row 12: 3 65535 2 1, 320 0
;;= row 13: 1 5 0 0, 100 0
;;= row 14: 4 4 5 2, 0 0
;;= row 15: 2 3 3 4, 0 0
;;= row 16: 0 6 2 0, 0 0
;;= row 17: 5 65535 0 4, 0 5
;;= row 18: 0 2 4 0, 0 0
;;= row 19: 6 65535 0 0, 192 0
;;= row 20: 1 5 0 0, 16 0
;;= row 21: 13 6 3 0, 0 0
;;= row 22: 14 65535 5 6, 0 8
;;= row 23: 7 0 3 0, 0 0
;;= row 24: 8 65535 0 0, 0 0
;;= row 25: 15 65535 1 0, 2 0
;;= row 26: 432 0 480 0, 544 0
;;= row 27: 0 5 2 0, 0 0
;;= row 28: 16 65535 1 3, 0 4
;;= row 29: 7 0 3 0, 0 0
;;= row 30: 1 4 0 0, 0 0
;;= row 31: 0 5 2 0, 0 0
;;= row 32: 1 6 0 0, 3 0
;;= row 33: 17 65535 4 0, 0 0
;;= row 34: 1 5 0 0, 7 0
;;= row 35: 18 4 5 2, 1 0
;;= row 36: 7 0 4 0, 0 0
;;= row 37: 48 0 0 0, 5 0
;;= row 38: 144 0 0 0, 9 0
;;= row 39: 384 0 1 0, 8 0
;;= row 40: 0 0 0 0, 0 0
;;= row 41: 0 0 0 0, 83 83
;;= row 42: 83 0 116 0, 116 116
;;= row 43: 116 0 116 0, 110 110
;;= row 44: 110 0 116 0, 116 94
;;= row 45: 94 0 94 0, 129 129
;;= row 46: 155 0 155 0, 0 155
;;= row 47: 155 0 155 0, 155 155
;;= row 48: 155 0 166 0, 166 166
;;= row 49: 166 0 0 0, 0 0
;;=   case 4u: { u32 p = (u32)(x), q = (u32)(y); u32 t = q == 0 ? VV_DIVIDE_BY_ZERO : 0u; if (t) { VV_TRAP_HERE(t) } r = (u64)((p / q)); break; }
;;=   case 5u: { VV_TRAP_HERE(VV_STACK_EXHAUSTED) break; }
;;=   case 6u: { VV_CHARGE_HERE pc = (u32)imm / 16; break; }
;;=   case 8u: { VV_CHARGE_HERE break; }
;;=   case 12u: { u32 ea = (u32)x + (u32)imm; if ((u64)(u32)x + (u32)imm + 4 > size) { VV_TRAP_HERE(VV_OUT_OF_BOUNDS_MEMORY) } r = (u64)(vv_ld32(mem, ea)); break; }
;;=   case 14u: { u32 ea = (u32)x + (u32)imm; if ((u64)(u32)x + (u32)imm + 8 > size) { VV_TRAP_HERE(VV_OUT_OF_BOUNDS_MEMORY) } vv_st64(mem, ea, (y)); break; }
;;=   case 16u: { u32 f = (u32)x; if (f >= VV_TABLE_LENGTH) { VV_TRAP_HERE(VV_UNDEFINED_ELEMENT) } f = VV_TABLE(f); if (!f) { VV_TRAP_HERE(VV_UNINITIALIZED_ELEMENT) } f--; if (vv_rd32(VV_ROW(f) + 4) != (u32)imm) { VV_TRAP_HERE(VV_INDIRECT_CALL_TYPE) } VV_TRAP_HERE(VV_STACK_EXHAUSTED) break; }
;;=   case 17u: { 
;;=   u32 v0 = (u32)(x);
;;=   u32 v1 = (u32)(VV_REG(a + 1));
;;=   u32 v2 = (u32)(VV_REG(a + 2));
;;=   {
;;=     u32 end = vv_memory_fill(vm, v0, v1, v2);
;;=     if (VV_UNLIKELY(end)) { vv_halt(vm, end, VV_OUT_OF_BOUNDS_MEMORY, vv_function(vm, pc), VV_SITE(pc)); return VV_HALT; }
;;=   }
;;=  break; }
;;=   case 19u: { vv_halt(vm, VV_EXITED, 0, 0xffffffffu, 0xffffffffu); return VV_HALT; break; }
;;= VV_SLOW_END
;;= VV_FAST_BEGIN
;;=   case 0u: { r = x; break; }
;;=   case 1u: { r = imm; break; }
;;=   case 2u: { r = (u64)((((u32)(x)) + ((u32)(y)))); break; }
;;=   case 3u: { if ((u32)(((u32)(x)) >= ((u32)(y)))) at = code + (u32)imm; break; }
;;=   case 4u: { u32 p = (u32)(x), q = (u32)(y); if (q == 0 ? VV_DIVIDE_BY_ZERO : 0u) goto slow; r = (u64)((p / q)); break; }
;;=   case 5u: { u32 f = (u32)imm; VV_ENTER_FUNCTION(f) break; }
;;=   case 6u: { if (VV_SPENT) { fuel++; goto slow; } at = code + (u32)imm; break; }
;;=   case 7u: { r = x; VV_LEAVE_FUNCTION break; }
;;=   case 8u: { if (VV_SPENT) { fuel++; goto slow; } break; }
;;=   case 9u: { r = vv_w64(head, (u32)imm); break; }
;;=   case 10u: { r = (u64)((((u32)(x)) + ((u32)(imm)))); break; }
;;=   case 11u: { vv_sw64(head, (u32)imm, x); break; }
;;=   case 12u: { u32 ea = (u32)x + (u32)imm; if (VV_UNLIKELY(((u32)x > size - (u32)(imm >> 32)) | VV_ODD(ea, 4u))) goto slow; r = (u64)(vv_a32(mem, ea, 0u)); break; }
;;=   case 13u: { r = (u64)((u32)(x)); break; }
;;=   case 14u: { u32 ea = (u32)x + (u32)imm; if (VV_UNLIKELY(((u32)x > size - (u32)(imm >> 32)) | VV_ODD(ea, 4u))) goto slow; vv_sh64(mem, ea, 0u, (y)); break; }
;;=   case 15u: { u32 i = (u32)x < (u32)imm ? (u32)x : (u32)imm; at = code + vv_rd32(at + (u64)i * 4); break; }
;;=   default: goto slow;
;;=   } else switch (op) {
;;=   case 16u: { u32 f = (u32)x < VV_TABLE_LENGTH ? VV_TABLE((u32)x) : 0; if (!f) goto slow; f--; if (vv_rd32(VV_ROW(f) + 4) != (u32)imm) goto slow; VV_ENTER_FUNCTION(f) break; }
;;=   case 18u: { r = VV_REG((u32)imm) ? x : y; break; }
;;= VV_FAST_END
