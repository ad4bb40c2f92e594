//! Divides large functions: parts of them become functions of their own.
//!
//! Kernel compilers need time that grows faster than a function. A *part* is a run of statements in one list, so it has
//! one entry. Its parameters are the variables that are live into it; its results are those that it sets and that are
//! live behind it. A part that can be left in more than one way (by its end, by branches to labels outside, by a return)
//! has one result more, which says how it was left, and the caller goes on there. This happens right after lowering, so
//! that for all other passes a part is a function like any other, which may suspend, recurse or trap.
//!
//! What fits stays together, so an inner loop is only cut if it is too large itself. Where something is too large, the
//! runs become parts that have the fewest values and ways out for their size.

use super::live::{Counts, Point, Points, Set, first_numbers, number_statements};
use crate::ValType;
use crate::ir::{Body, Callee, Expr, ExprId, Function, Label, Program, Stmt, Use, Var, walk};
use crate::wasm::FuncType;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

/// Most parameters and results of a part. Each result but the first takes 8 bytes of the VM's private struct.
const MOST_VALUES: usize = 1000;

/// A function in which more variables are live at the same time is divided into smaller parts.
const LIVE: u32 = 250;

/// Most loops in each other.
const LOOPS: u32 = 48;

/// Divides all functions that weigh more than `most` (statements and nodes of expressions), or have too many loops in
/// each other.
pub fn run(program: &mut Program, most: u32) {
    // A small `most` is for tests, which want small nests to be divided too.
    let loops = (most / 8).clamp(1, LOOPS);
    let mut types: HashMap<FuncType, u32> = HashMap::new();
    for (ty, number) in program.types.iter().zip(0..) {
        types.entry(ty.clone()).or_insert(number);
    }
    for f in 0..program.functions.len() {
        let Some(body) = &program.functions[f].body else { continue };
        // Finding out what is live takes long.
        if weighs(body) <= u64::from(most) / 8 && height(&body.stmts) <= loops {
            continue;
        }
        let mut ends = Vec::new();
        number_statements(&body.stmts, &mut ends);
        let Some(parts) = choose(body, &ends, most, loops) else { continue };
        let mut regions: HashMap<usize, Vec<Region>> = HashMap::new();
        for part in parts {
            regions.entry(part.list).or_default().push(part);
        }
        let Some(mut body) = program.functions[f].body.take() else { continue };
        let stmts = std::mem::take(&mut body.stmts);
        let mut labels = 0;
        walk(&stmts, &mut |stmt| {
            if let Stmt::Block { label, .. } | Stmt::Loop { label, .. } = stmt {
                labels = labels.max(label.0 + 1);
            }
        });
        let mut cut = Cut { program, types: &mut types, of: f as u32, body, labels, ends: &ends, regions };
        let stmts = cut.list(stmts, 0);
        let mut body = cut.body;
        body.stmts = stmts;
        program.functions[f].body = Some(body);
    }
}

/// A run of statements that becomes a function.
struct Region {
    /// The number of the first statement of its list.
    list: usize,
    /// The index of its first statement there.
    first: usize,
    count: usize,
    begin: Point,
    end: Point,
    /// Labels outside to which it branches, each with the point where that goes on.
    labels: BTreeSet<Label>,
    /// What is live at its begin, its end, and its labels.
    live: Option<Live>,
}

struct Live {
    begin: Set,
    end: Set,
    labels: BTreeMap<Label, Rc<Set>>,
}

impl Live {
    /// Whether a variable is live where control goes on.
    fn on(&self, way: Way, var: Var) -> bool {
        match way {
            Way::End => self.end.has(var.0 as usize),
            Way::Label(label) => self.labels.get(&label).is_some_and(|set| set.has(var.0 as usize)),
            Way::Return => false,
        }
    }
}

/// Nodes of an expression.
fn nodes(body: &Body, id: ExprId) -> u64 {
    match body.expr(id) {
        Expr::Const(..) | Expr::Var(_) => 1,
        Expr::Unary(_, a) | Expr::Canonical(a) => 1 + nodes(body, a),
        Expr::Binary(_, a, b) => 1 + nodes(body, a) + nodes(body, b),
        Expr::Select { cond, then, otherwise } => 1 + nodes(body, cond) + nodes(body, then) + nodes(body, otherwise),
    }
}

/// How many branches there are back to each loop.
fn back_edges(stmts: &[Stmt]) -> HashMap<Label, u64> {
    let mut to = HashMap::new();
    walk(stmts, &mut |stmt| match stmt {
        Stmt::Loop { label, .. } => _ = to.insert(*label, 0),
        Stmt::Branch { label } => {
            to.entry(*label).and_modify(|n| *n += 1);
        }
        _ => {}
    });
    to
}

/// What a statement weighs without those in it. At a loop's head the variables of all its back-edges meet: of equal
/// text, NVRTC takes 8 s for one of 256 back-edges and 33 s for one of 450.
fn weight(body: &Body, back_edges: &HashMap<Label, u64>, stmt: &Stmt) -> u64 {
    let more = match stmt {
        Stmt::Switch { cases, .. } => cases.iter().map(|(values, _)| values.len() as u64).sum(),
        Stmt::Branch { label } => back_edges.get(label).map_or(0, |n| (n / 20).min(50)),
        _ => 0,
    };
    1 + more + stmt.operands().into_iter().map(|operand| nodes(body, operand)).sum::<u64>()
}

/// Loops in each other.
fn height(stmts: &[Stmt]) -> u32 {
    let of = |stmt: &Stmt| {
        let inner = stmt.children().into_iter().map(|list| height(list)).max().unwrap_or(0);
        inner + u32::from(matches!(stmt, Stmt::Loop { .. }))
    };
    stmts.iter().map(of).max().unwrap_or(0)
}

/// Labels outside to which statements branch.
fn labels(stmts: &[Stmt]) -> HashSet<Label> {
    let (mut to, mut inside) = (HashSet::new(), Vec::new());
    walk(stmts, &mut |stmt| match stmt {
        Stmt::Branch { label } => _ = to.insert(*label),
        Stmt::Block { label, .. } | Stmt::Loop { label, .. } => inside.push(*label),
        _ => {}
    });
    inside.iter().for_each(|label| _ = to.remove(label));
    to
}

/// What a body weighs.
fn weighs(body: &Body) -> u64 {
    let back_edges = back_edges(&body.stmts);
    let mut sum = 0;
    walk(&body.stmts, &mut |stmt| sum += weight(body, &back_edges, stmt));
    sum
}

/// The parts of a body, inner ones before outer ones. None if it need not be divided, or if it is too much work to find
/// what is live.
fn choose(body: &Body, ends: &[usize], most: u32, loops: u32) -> Option<Vec<Region>> {
    let numbers: Vec<Option<usize>> = (0..body.vars.len()).map(Some).collect();
    let mut points = Points::new(body, &numbers, ends).ok()?;
    let counts = points.counts();
    let most = most / counts.most().div_ceil(LIVE).max(1);
    if weighs(body) <= most.into() && height(&body.stmts) <= loops {
        return None;
    }
    let mut choice = Choice {
        body,
        back_edges: back_edges(&body.stmts),
        ends,
        counts,
        most: most.into(),
        loops,
        targets: HashMap::new(),
        arms: HashMap::new(),
        regions: Vec::new(),
    };
    choice.arms();
    choice.list(&body.stmts, 0);
    let Choice { mut regions, targets, .. } = choice;
    let mut wanted = HashSet::new();
    for region in &regions {
        wanted.extend([region.begin, region.end]);
        wanted.extend(region.labels.iter().filter_map(|label| targets.get(label)));
    }
    let sets = points.sets(wanted).ok()?;
    let mut of_labels: HashMap<Label, Rc<Set>> = HashMap::new();
    for region in &mut regions {
        let mut labels = BTreeMap::new();
        for label in &region.labels {
            if !of_labels.contains_key(label) {
                of_labels.insert(*label, sets.get(targets.get(label)?)?.clone().into());
            }
            labels.insert(*label, of_labels.get(label)?.clone());
        }
        let (begin, end) = (sets.get(&region.begin)?.clone(), sets.get(&region.end)?.clone());
        region.live = Some(Live { begin, end, labels });
    }
    Some(regions)
}

/// What a list or statement weighs, once parts were cut out of it.
#[derive(Default)]
struct Rest {
    weight: u64,
    loops: u32,
    /// Labels outside to which it branches.
    labels: BTreeSet<Label>,
}

impl Rest {
    fn add(&mut self, mut other: Self) {
        self.weight += other.weight;
        self.loops = self.loops.max(other.loops);
        // The smaller set into the larger one: nested blocks have many labels in common.
        if self.labels.len() < other.labels.len() {
            std::mem::swap(&mut self.labels, &mut other.labels);
        }
        self.labels.extend(other.labels);
    }
}

struct Choice<'a> {
    body: &'a Body,
    back_edges: HashMap<Label, u64>,
    ends: &'a [usize],
    counts: Counts,
    most: u64,
    loops: u32,
    /// Where branches to a label go on.
    targets: HashMap<Label, Point>,
    /// Runs that become parts in any case, by the number of their list's first statement.
    arms: HashMap<usize, Vec<Range<usize>>>,
    regions: Vec<Region>,
}

/// A run that could become a part.
struct Run {
    list: usize,
    range: Range<usize>,
    weight: u64,
    /// What its call will weigh.
    call: u64,
}

/// By what their calls weigh for their size.
fn cheapest_first(runs: &mut [Run]) {
    runs.sort_by(|a, b| (a.call * b.weight).cmp(&(b.call * a.weight)));
}

impl Choice<'_> {
    /// Chooses runs beside the statement in which most lies, and beside the one in which most of that lies, and so on,
    /// until the body is not too large. So the arms of an interpreter's `switch` become parts, if they are large
    /// enough, and the `switch` with the blocks around it stays whole.
    fn arms(&mut self) {
        let mut weights = vec![0; self.ends.len()];
        let mut sum = self.weigh(&self.body.stmts, 0, &mut weights);
        let mut runs = Vec::new();
        let (mut stmts, mut first) = (&self.body.stmts, 0);
        loop {
            let begin = |number: &mut usize, _: &Stmt| Some(std::mem::replace(number, self.ends[*number]));
            let numbers: Vec<usize> = stmts.iter().scan(first, begin).collect();
            let Some(heaviest) = (0..stmts.len()).max_by_key(|i| weights[numbers[*i]]) else { break };
            let inner = match &stmts[heaviest] {
                Stmt::Block { body, .. } | Stmt::Loop { body, .. } => body,
                _ => break,
            };
            for range in [0..heaviest, heaviest + 1..stmts.len()] {
                let weight: u64 = numbers[range.clone()].iter().map(|number| weights[*number]).sum();
                if weight < self.most / 64 || weight > self.most {
                    continue;
                }
                let points = [range.start, range.end].map(|i| match numbers.get(i) {
                    Some(number) => Point::Before(*number),
                    None => Point::End(numbers[i - 1]),
                });
                let call = self.call(points, weight, labels(&stmts[range.clone()]).len());
                if 4 * call < weight {
                    runs.push(Run { list: first, range, weight, call });
                }
            }
            (stmts, first) = (inner, numbers[heaviest] + 1);
        }
        cheapest_first(&mut runs);
        for Run { list, range, weight, call } in runs {
            if sum <= self.most {
                break;
            }
            sum = sum - weight + call;
            self.arms.entry(list).or_default().push(range);
        }
    }

    /// Weighs statements with those in them, by their numbers.
    fn weigh(&self, stmts: &[Stmt], first: usize, weights: &mut [u64]) -> u64 {
        let mut number = first;
        let mut sum = 0;
        for stmt in stmts {
            let firsts = first_numbers(stmt, number, self.ends);
            let inner: u64 =
                stmt.children().iter().zip(firsts).map(|(list, first)| self.weigh(list, first, weights)).sum();
            weights[number] = inner + weight(self.body, &self.back_edges, stmt);
            sum += weights[number];
            number = self.ends[number];
        }
        sum
    }

    fn list(&mut self, stmts: &[Stmt], first: usize) -> Rest {
        if stmts.is_empty() {
            return Rest::default(); // another list begins with its number
        }
        let mut number = first;
        let mut rests = Vec::new();
        // The points before the statements, and the one behind the last.
        let mut points = Vec::new();
        for (i, stmt) in stmts.iter().enumerate() {
            let behind = self.ends[number];
            let end = if i + 1 < stmts.len() { Point::Before(behind) } else { Point::End(number) };
            points.push(Point::Before(number));
            if i + 1 == stmts.len() {
                points.push(end);
            }
            match stmt {
                Stmt::Block { label, .. } => _ = self.targets.insert(*label, end),
                Stmt::Loop { label, .. } => _ = self.targets.insert(*label, Point::Before(number)),
                _ => {}
            }
            let mut rest = self.stmt(stmt, number);
            if rest.loops > self.loops {
                rest = self.cut(first, i..i + 1, [Point::Before(number), end], rest);
            }
            rests.push(rest);
            number = behind;
        }
        for range in self.arms.remove(&first).unwrap_or_default() {
            self.cut_run(first, range, &points, &mut rests);
        }
        if rests.iter().map(|rest| rest.weight).sum::<u64>() > self.most {
            self.runs(first, &mut rests, &points);
        }
        let mut all = Rest::default();
        rests.into_iter().for_each(|rest| all.add(rest));
        all
    }

    fn stmt(&mut self, stmt: &Stmt, number: usize) -> Rest {
        let firsts = first_numbers(stmt, number, self.ends);
        let lists = stmt.children();
        let mut rests: Vec<Rest> = lists.iter().zip(&firsts).map(|(list, first)| self.list(list, *first)).collect();
        let mut heaviest: Vec<usize> = (0..rests.len()).collect();
        heaviest.sort_by_key(|i| std::cmp::Reverse(rests[*i].weight));
        let mut sum = rests.iter().map(|rest| rest.weight).sum::<u64>();
        for i in heaviest {
            // Arms that are lists of their own: one alone fits.
            if rests.len() < 2 || sum <= self.most || rests[i].weight < (self.most / 16).max(1) {
                break;
            }
            sum -= rests[i].weight;
            let last = lists[i].iter().skip(1).fold(firsts[i], |number, _| self.ends[number]);
            let points = [Point::Before(firsts[i]), Point::End(last)];
            let rest = std::mem::take(&mut rests[i]);
            rests[i] = self.cut(firsts[i], 0..lists[i].len(), points, rest);
            sum += rests[i].weight;
        }
        let mut all = Rest::default();
        rests.into_iter().for_each(|rest| all.add(rest));
        all.weight += weight(self.body, &self.back_edges, stmt);
        match stmt {
            Stmt::Block { label, .. } => _ = all.labels.remove(label),
            Stmt::Loop { label, .. } => {
                all.labels.remove(label);
                all.loops += 1;
            }
            Stmt::Branch { label } => _ = all.labels.insert(*label),
            _ => {}
        }
        all
    }

    /// What a call of a part will weigh. A part cannot have many more values than a fraction of its weight.
    fn call(&self, [begin, end]: [Point; 2], weight: u64, ways: usize) -> u64 {
        let live = |point| u64::from(self.counts.at(point));
        2 + live(begin).min(weight / 2) + live(end).min(weight / 4) + 2 * ways as u64
    }

    fn cut(&mut self, list: usize, run: Range<usize>, points: [Point; 2], rest: Rest) -> Rest {
        let weight = self.call(points, rest.weight, rest.labels.len());
        let [begin, end] = points;
        let (first, count, labels) = (run.start, run.len(), rest.labels.clone());
        self.regions.push(Region { list, first, count, begin, end, labels, live: None });
        Rest { weight, loops: 0, labels: rest.labels }
    }

    /// Cuts runs out of a list until it is not too large.
    fn runs(&mut self, list: usize, rests: &mut [Rest], points: &[Point]) {
        let mut runs = Vec::new();
        let mut first = 0;
        while first < rests.len() {
            let (mut end, mut weight) = (first, 0);
            let mut best: Option<(u32, usize, u64)> = None;
            // What weighs nothing went with an earlier run, so there is nothing in front of it.
            let gone = |i: usize| rests.get(i).is_some_and(|rest| rest.weight == 0);
            while end < rests.len() && (end == first || gone(end) || weight + rests[end].weight <= self.most / 2) {
                weight += rests[end].weight;
                end += 1;
                if gone(end) {
                    continue;
                }
                let live = self.counts.at(points[end]);
                if weight >= self.most / 4 && best.is_none_or(|(least, ..)| live < least) {
                    best = Some((live, end, weight));
                }
            }
            if let Some((_, at, lighter)) = best.filter(|_| end < rests.len()) {
                (end, weight) = (at, lighter);
            }
            let ways = rests[first..end].iter().map(|rest| rest.labels.len()).sum();
            let call = self.call([points[first], points[end]], weight, ways);
            runs.push(Run { list, range: first..end, weight, call });
            first = end;
        }
        let mut sum: u64 = runs.iter().map(|run| run.weight).sum();
        cheapest_first(&mut runs);
        for Run { range, weight, call, .. } in runs {
            if sum <= self.most / 2 {
                break;
            }
            if weight >= self.most / 16 && weight > call && range.len() < rests.len() {
                sum = sum - weight + self.cut_run(list, range, points, rests);
            }
        }
    }

    /// Cuts one run out of a list; gives what is left of its weight.
    fn cut_run(&mut self, list: usize, range: Range<usize>, points: &[Point], rests: &mut [Rest]) -> u64 {
        let mut rest = Rest::default();
        rests[range.clone()].iter_mut().for_each(|one| rest.add(std::mem::take(one)));
        let ends = [points[range.start], points[range.end]];
        let first = range.start;
        rests[first] = self.cut(list, range, ends, rest);
        rests[first].weight
    }
}

/// Rewrites a body and makes the parts.
struct Cut<'a> {
    program: &'a mut Program,
    types: &'a mut HashMap<FuncType, u32>,
    /// The function that is divided.
    of: u32,
    body: Body,
    /// The next label.
    labels: u32,
    ends: &'a [usize],
    /// By the number of their list's first statement.
    regions: HashMap<usize, Vec<Region>>,
}

/// How a part is left.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    End,
    Label(Label),
    Return,
}

impl Cut<'_> {
    fn list(&mut self, stmts: Vec<Stmt>, first: usize) -> Vec<Stmt> {
        if stmts.is_empty() {
            return stmts;
        }
        let mut number = first;
        let mut slots: Vec<Vec<Stmt>> = Vec::new();
        for mut stmt in stmts {
            let firsts = first_numbers(&stmt, number, self.ends);
            for (list, first) in stmt.children_mut().into_iter().zip(firsts) {
                *list = self.list(std::mem::take(list), first);
            }
            number = self.ends[number];
            slots.push(vec![stmt]);
        }
        for region in self.regions.remove(&first).unwrap_or_default() {
            let slots = &mut slots[region.first..region.first + region.count];
            let stmts: Vec<Stmt> = slots.iter_mut().flat_map(std::mem::take).collect();
            slots[0] = self.part(&region, stmts);
        }
        slots.into_iter().flatten().collect()
    }

    /// Makes a function of statements; gives what stands in their place.
    fn part(&mut self, region: &Region, stmts: Vec<Stmt>) -> Vec<Stmt> {
        let Some(live) = &region.live else { return stmts };
        let (mut occurs, mut sets, mut returns, mut at) = (BTreeSet::new(), BTreeSet::new(), false, u32::MAX);
        walk(&stmts, &mut |stmt| {
            sets.extend(stmt.sets());
            for operand in stmt.operands() {
                self.body.reads(operand, &mut |var| _ = occurs.insert(var));
            }
            returns |= matches!(stmt, Stmt::Return { .. });
            at = at.min(offset(stmt));
        });
        occurs.extend(&sets);
        let falls = !stmts.last().is_some_and(Stmt::ends);
        let mut ways: Vec<Way> = falls.then_some(Way::End).into_iter().collect();
        ways.extend(region.labels.iter().map(|label| Way::Label(*label)));
        ways.extend(returns.then_some(Way::Return));
        let ins: Vec<Var> = occurs.into_iter().filter(|var| live.begin.has(var.0 as usize)).collect();
        let outs: Vec<Var> = sets.into_iter().filter(|var| ways.iter().any(|way| live.on(*way, *var))).collect();
        if ins.len() + outs.len() > MOST_VALUES {
            return stmts;
        }

        let ty = &self.program.types[self.program.functions[self.of as usize].ty as usize];
        let returned = if returns { ty.results.clone() } else { Vec::new() };
        let coded = ways.len() > 1;
        let codes = ways.iter().copied().zip(0..).collect();
        let mut to = Body::default();
        let vars = ins.iter().map(|var| (*var, to.var(self.body.vars[var.0 as usize]))).collect();
        let leave = Leave {
            label: Label(self.labels),
            code: coded.then(|| to.var(ValType::I32)),
            returned: returned.iter().map(|ty| to.var(*ty)).collect(),
        };
        self.labels += 1;
        let params = ins.len();
        let to = Part { from: &self.body, to, vars, codes, leave }.function(stmts, &outs, params);

        let type_of = |var: &Var| self.body.vars[var.0 as usize];
        let params = ins.iter().map(type_of).collect();
        let results =
            coded.then_some(ValType::I32).into_iter().chain(outs.iter().map(type_of)).chain(returned.iter().copied());
        let ty = FuncType { params, results: results.collect() };
        let types = &mut self.program.types;
        let ty = *self.types.entry(ty).or_insert_with_key(|ty| {
            types.push(ty.clone());
            types.len() as u32 - 1
        });
        let names = self.program.functions[self.of as usize].names.clone();
        let function = self.program.functions.len() as u32;
        self.program.functions.push(Function { names, ty, body: Some(to), states: None, part_of: Some(self.of) });

        let args = ins.iter().map(|var| self.body.add(Expr::Var(*var))).collect();
        let code = coded.then(|| self.body.var(ValType::I32));
        let values: Vec<Var> = returned.iter().map(|ty| self.body.var(*ty)).collect();
        let results = code.into_iter().chain(outs.iter().copied()).chain(values.iter().copied()).collect();
        let mut here = vec![Stmt::Call { callee: Callee::Function(function), args, results, at }];
        let mut jump = |way: &Way| match way {
            Way::End => Vec::new(),
            Way::Label(label) => vec![Stmt::Branch { label: *label }],
            Way::Return => vec![Stmt::Return { values: values.iter().map(|v| self.body.add(Expr::Var(*v))).collect() }],
        };
        let mut jumps: Vec<Vec<Stmt>> = ways.iter().map(&mut jump).collect();
        let Some(code) = code else {
            here.extend(jumps.into_iter().flatten());
            return here;
        };
        let read = |cut: &mut Self| cut.body.add(Expr::Var(code));
        let first = if falls { 1 } else { 0 };
        let last = jumps.pop().unwrap_or_default();
        let others: Vec<_> = (0..).zip(jumps).skip(first).map(|(code, jump)| (vec![code], jump)).collect();
        let go_on = if others.is_empty() {
            last
        } else {
            vec![Stmt::Switch { index: read(self), cases: others, default: last }]
        };
        if falls {
            here.push(Stmt::If { cond: read(self), then: go_on, otherwise: Vec::new() });
        } else {
            here.extend(go_on);
        }
        here
    }
}

/// The offset of a statement that has one.
fn offset(stmt: &Stmt) -> u32 {
    match stmt {
        Stmt::Load { at, .. }
        | Stmt::Store { at, .. }
        | Stmt::Trapping { at, .. }
        | Stmt::Call { at, .. }
        | Stmt::Ask { at, .. }
        | Stmt::Loop { at, .. }
        | Stmt::Trap { at, .. } => *at,
        _ => u32::MAX,
    }
}

/// Moves statements into a body of their own.
struct Part<'a> {
    from: &'a Body,
    to: Body,
    vars: HashMap<Var, Var>,
    /// The ways out, with what says so.
    codes: HashMap<Way, u32>,
    leave: Leave,
}

/// Where the ways out of a part meet.
struct Leave {
    label: Label,
    /// The variable that says how the part is left, if there is more than one way.
    code: Option<Var>,
    /// What the whole function returns.
    returned: Vec<Var>,
}

impl Part<'_> {
    /// The part's body. Its parameters are there.
    fn function(mut self, mut stmts: Vec<Stmt>, outs: &[Var], params: usize) -> Body {
        let mut begin = Vec::new();
        let outs: Vec<Var> = outs.iter().map(|var| self.var(*var)).collect();
        // What is not live on some way out need not have been set there.
        let unset = outs.iter().copied().filter(|var| var.0 as usize >= params);
        for var in unset.chain(self.leave.code).chain(self.leave.returned.iter().copied()) {
            let value = self.to.add(Expr::Const(self.to.vars[var.0 as usize], 0));
            begin.push(Stmt::Set { var, value });
        }
        self.list(&mut stmts);
        if !stmts.last().is_some_and(Stmt::ends) {
            stmts.extend(self.code(Way::End));
        }
        let leaves = |stmt: &Stmt| matches!(stmt, Stmt::Branch { label } if *label == self.leave.label);
        if stmts.last().is_some_and(leaves) {
            stmts.pop();
        }
        let mut branches = false;
        walk(&stmts, &mut |stmt| branches |= leaves(stmt));
        if branches {
            begin.push(Stmt::Block { label: self.leave.label, body: stmts });
        } else {
            begin.extend(stmts);
        }
        let results = self.leave.code.into_iter().chain(outs).chain(self.leave.returned);
        let values = results.map(|var| self.to.add(Expr::Var(var))).collect();
        begin.push(Stmt::Return { values });
        self.to.stmts = begin;
        self.to
    }

    fn var(&mut self, var: Var) -> Var {
        let (from, to) = (self.from, &mut self.to);
        *self.vars.entry(var).or_insert_with(|| to.var(from.vars[var.0 as usize]))
    }

    fn expr(&mut self, id: ExprId) -> ExprId {
        let expr = match self.from.expr(id) {
            Expr::Var(v) => Expr::Var(self.var(v)),
            Expr::Const(ty, bits) => Expr::Const(ty, bits),
            Expr::Unary(op, a) => Expr::Unary(op, self.expr(a)),
            Expr::Canonical(a) => Expr::Canonical(self.expr(a)),
            Expr::Binary(op, a, b) => Expr::Binary(op, self.expr(a), self.expr(b)),
            Expr::Select { cond, then, otherwise } => {
                let (cond, then, otherwise) = (self.expr(cond), self.expr(then), self.expr(otherwise));
                Expr::Select { cond, then, otherwise }
            }
        };
        self.to.add(expr)
    }

    fn list(&mut self, stmts: &mut Vec<Stmt>) {
        for mut stmt in std::mem::take(stmts) {
            stmt.each_use(&mut |used| match used {
                Use::Var(var) => *var = self.var(*var),
                Use::Expr(id) => *id = self.expr(*id),
            });
            let way = match &stmt {
                Stmt::Branch { label } => Way::Label(*label),
                Stmt::Return { .. } => Way::Return,
                _ => Way::End,
            };
            if way == Way::End || !self.codes.contains_key(&way) {
                stmt.children_mut().into_iter().for_each(|list| self.list(list));
                stmts.push(stmt);
                continue;
            }
            if let Stmt::Return { values } = stmt {
                let vars = self.leave.returned.iter().copied();
                stmts.extend(vars.zip(values).map(|(var, value)| Stmt::Set { var, value }));
            }
            stmts.extend(self.code(way));
            stmts.push(Stmt::Branch { label: self.leave.label });
        }
    }

    /// Says how the part is left.
    fn code(&mut self, way: Way) -> Option<Stmt> {
        let (var, code) = (self.leave.code?, self.codes.get(&way)?);
        let value = self.to.add(Expr::Const(ValType::I32, (*code).into()));
        Some(Stmt::Set { var, value })
    }
}
