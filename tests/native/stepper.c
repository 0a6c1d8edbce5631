/* The stepper for whole layers: executes a schedule of a nest loop by loop and word by word, as stepper.py does, and is
   written from docs/semantics.md as that is. Where stepper.py has sets and dictionaries, this has arrays: a word is in
   a set if its stamp is that of the set. No count comes from a formula: every MAC is executed, every word that moves is
   looked at, and counted where it is. `walk.c` and `set_up.c` stand before it in the same translation unit. */

enum { READS, WRITES, HOPS };

/* What a busy lane wants of a read operand, less what loops in time add; whether it begins a set (1) or a group (2). */
typedef struct {
    int64_t word;
    int begins;
} Want;

/* What a busy lane computes: the places of its operands, less what loops in time add. */
typedef struct {
    int64_t place[OPERANDS], word; /* word: of the output, at the outermost level */
} Lane;

static const float *data[OPERANDS];
static const uint8_t *inside[OPERANDS]; /* whether a word is no padding; null: none is */
static uint32_t *kept[OPERANDS], held_stamp[OPERANDS];
static uint64_t psum_stamp;
static Want *wants[OPERANDS];
static Lane *all_lanes, *lanes;
static int64_t busy, sum_length, *pending; /* pending: the products that an output word still lacks */
static int64_t *tile, *tile_at_parent;
static int64_t *counters, macs, cycles, results;
static int epilogue_steps, other_count; /* other tensors that an epilogue reads */
static const int64_t *const *other_place;
static uint8_t *other_taken[MAX_OTHERS];

/* Counting */

static void count(int what, int level, int operand, int64_t moved)
{
    counters[(what * MAX_LEVELS + level) * OPERANDS + operand] += moved;
}

static void hop(int operand, int start, int stop, int64_t moved)
{
    for (int level = start; level < stop; level++)
        if (has_fanout[level]) count(HOPS, level, operand, moved);
}

/* What a parent reads so that every instance receives the words that it wants. One read serves all instances that want
   a word, as far as axes multicast words: they make a set together. In a group, identical sets are read once: its
   instances differ in axes that multicast words or tiles only. */

static int64_t *pool, pool_size, set_start, *set_end, set_count, served;
static int serving;

static void close_set(void)
{
    int64_t size = pool_size - set_start, at = 0;
    for (int64_t i = 0; i < set_count; at = set_end[i++]) {
        if (set_end[i] - at != size) continue;
        while (at < set_end[i] && seen[serving][pool[at]] == set_stamp[serving]) at++;
        if (at == set_end[i]) size = 0; /* its words are those of an earlier set */
    }
    served += size;
    pool_size = set_start += size;
    set_end[set_count++] = set_start;
    new_stamp(seen[serving], &set_stamp[serving], words[serving]);
}

static void close_group(void)
{
    close_set();
    set_count = pool_size = set_start = 0;
}

static void serve(int operand)
{
    serving = operand;
    served = set_count = pool_size = set_start = 0;
    new_stamp(seen[serving], &set_stamp[serving], words[serving]);
}

static inline void want(int64_t word)
{
    if (seen[serving][word] == set_stamp[serving]) return;
    seen[serving][word] = set_stamp[serving];
    pool[pool_size++] = word;
}

/* Movement */

/* Whether the step that changed loop `changed` moves only the new words. */
static int sweeps(const Residence *r, int changed)
{
    for (int t = changed; t < r->fill; t++)
        if (loops[in_time[t]].dim != loops[in_time[changed]].dim) return 0;
    return slides[r->level];
}

/* Move the tiles of a read operand from the parent to every busy instance. */
static void fill(Residence *r, int changed)
{
    int o = r->operand, sweep = changed >= 0 && sweeps(r, changed);
    int fetched = stores_padding[r->level] && stores_padding[r->parent->level];
    const uint8_t *real = fetched ? NULL : inside[o];
    int64_t moved = 0, before = -1;
    refresh(r, changed);
    serve(o);
    for (int64_t k = 0; k < r->instances; k++) {
        int64_t instance = r->order[k], length = list_tile(r, instance, 0, tile);
        if (length == 0) continue; /* it keeps what it holds */
        if (before >= 0 && r->group[k] != r->group[before]) close_group();
        else if (before >= 0 && r->set[k] != r->set[before]) close_set();
        before = k;
        if (sweep) {
            new_stamp(kept[o], &held_stamp[o], words[o]);
            for (int64_t i = 0; i < r->held_count[instance]; i++)
                kept[o][r->held[instance * r->most + i]] = held_stamp[o];
        }
        for (int64_t i = 0; i < length; i++) {
            if ((sweep && kept[o][tile[i]] == held_stamp[o]) || (real && !real[tile[i]])) continue;
            moved++;
            want(tile[i]);
        }
        if (slides[r->level]) {
            memcpy(r->held + instance * r->most, tile, length * sizeof *tile);
            r->held_count[instance] = length;
        }
    }
    close_group();
    count(WRITES, r->level, o, moved);
    count(READS, r->parent->level, o, served);
    hop(o, r->parent->level, r->level, moved);
}

/* Start a residence of the output: partial sums that the parent holds return to the first that needs them. */
static void start(Residence *r, int changed)
{
    int64_t returned = 0;
    psum_stamp++;
    refresh(r, changed);
    for (int64_t instance = 0; instance < r->instances; instance++) {
        int64_t length = list_tile(r, instance, 0, tile);
        list_tile(r, instance, 1, tile_at_parent);
        for (int64_t i = 0; i < length; i++) {
            Psum *mine = &r->psums[tile[i]], *theirs = &r->parent->psums[tile_at_parent[i]];
            mine->parent = tile_at_parent[i];
            if (!theirs->held || theirs->stamp == psum_stamp) continue;
            theirs->stamp = psum_stamp;
            mine->held = 1;
            mine->value = theirs->value;
            returned++;
        }
    }
    count(READS, r->parent->level, O, returned);
    count(WRITES, r->level, O, returned);
    hop(O, r->parent->level, r->level, returned);
}

/* A finished word comes to the outermost level: the epilogue makes its results, and reads what was not read before. */
static void finish(int64_t word)
{
    results += epilogue_steps;
    for (int i = 0; i < other_count; i++) {
        uint8_t *taken = &other_taken[i][other_place[i][word]];
        count(READS, 0, E, !*taken);
        *taken = 1;
    }
}

/* End a residence of the output: the partial sums leave, those that share a word added on the way. */
static void drain(Residence *r)
{
    int64_t sent = 0, written = 0;
    psum_stamp++;
    for (Psum *mine = r->psums; mine < r->psums + r->psum_count; mine++) {
        if (!mine->held) continue;
        Psum *theirs = &r->parent->psums[mine->parent];
        if (theirs->stamp != psum_stamp) {
            theirs->stamp = psum_stamp;
            theirs->held = 1;
            theirs->value = 0;
            written++;
            if (r->parent->level == 0 && pending[mine->parent] == 0) finish(mine->parent);
        }
        theirs->value += mine->value;
        mine->held = 0;
        sent++;
    }
    count(READS, r->level, O, sent);
    count(WRITES, r->parent->level, O, written);
    hop(O, r->parent->level, r->level, sent);
}

/* Work */

/* Where the MACs find an operand. */
static const Residence *innermost(int o)
{
    return &kept_at[o][depth_of[o] ? depth_of[o] - 1 : 0];
}

/* What all digits of loops in time add to a place. */
static int64_t base(const Residence *r)
{
    int64_t place = 0;
    for (int t = 0; t < time_count; t++) place += digit[in_time[t]] * r->at[in_time[t]];
    return place;
}

static int is_busy(int64_t lane)
{
    for (const Part *part = mesh.parts; part < mesh.parts + mesh.part_count; part++)
        if (part->size[part->combination[lane]] == 0) return 0;
    return 1;
}

/* Other lanes are busy than before. */
static void list_lanes(void)
{
    for (int o = I; o <= W; o++) {
        const Residence *r = &kept_at[o][depth_of[o]];
        int64_t before = -1;
        Want *next = wants[o];
        for (int64_t k = 0; depth_of[o] && k < mesh.instances; k++) {
            if (!is_busy(r->order[k])) continue;
            next->word = all_lanes[r->order[k]].place[o];
            next++->begins = before < 0 ? 0 : r->group[k] != r->group[before] ? 2 : r->set[k] != r->set[before];
            before = k;
        }
    }
    busy = 0;
    for (int64_t lane = 0; lane < mesh.instances; lane++)
        if (is_busy(lane)) lanes[busy++] = all_lanes[lane];
}

/* The busy lanes read one word each of a read operand. */
static void read_operand(const Residence *r)
{
    int o = r->operand, level = r->parent->level;
    const uint8_t *real = stores_padding[level] ? NULL : inside[o];
    int64_t at = base(r), moved = 0;
    serve(o);
    if (!r->shared) {
        for (const Want *lane = wants[o]; lane < wants[o] + busy; lane++) moved += !real || real[at + lane->word];
        served = moved;
    }
    for (const Want *lane = wants[o]; r->shared && lane < wants[o] + busy; lane++) {
        if (lane->begins == 2) close_group();
        if (lane->begins == 1) close_set();
        if (real && !real[at + lane->word]) continue;
        moved++;
        want(at + lane->word);
    }
    close_group();
    count(READS, level, o, served);
    hop(o, level, level_count, moved);
}

/* The products arrive at the innermost memory of the output, those of an iteration for one word there as one update. */
static void update(void)
{
    const Residence *r = innermost(O), *bias = depth_of[B] ? innermost(B) : NULL;
    const float *x = data[I] + base(innermost(I)), *y = data[W] + base(innermost(W));
    int64_t at = base(r), out = base(&kept_at[O][0]), start = base(innermost(B)), updates = 0, first = 0, read = 0;
    psum_stamp++;
    for (const Lane *lane = lanes; lane < lanes + busy; lane++) {
        Psum *psum = &r->psums[at + lane->place[O]];
        int64_t word = out + lane->word;
        if (psum->stamp != psum_stamp) {
            psum->stamp = psum_stamp;
            updates++;
            if (!psum->held) {
                psum->held = 1;
                psum->value = 0;
                first++;
            }
            if (bias && pending[word] == sum_length) {
                psum->value += data[B][start + lane->place[B]];
                read++;
            }
        }
        psum->value += (double)x[lane->place[I]] * y[lane->place[W]];
        if (--pending[word] == 0 && r->level == 0) finish(word);
    }
    count(WRITES, r->level, O, updates);
    count(READS, r->level, O, updates - first);
    hop(O, r->level, level_count, busy);
    if (bias) count(READS, bias->level, B, read);
    if (bias) hop(B, bias->level, level_count, read);
}

/* One executed iteration. */
static void mac(void)
{
    cycles++;
    macs += busy;
    for (int o = I; o <= W; o++)
        if (depth_of[o]) read_operand(&kept_at[o][depth_of[o]]);
    update();
}

/* What the iteration does in which temporal loop `changed` is the outermost that differs from the one before. */
static void step(int changed)
{
    for (int depth = depth_of[O] - 1; depth > 0; depth--)
        if (changed < kept_at[O][depth].fill) drain(&kept_at[O][depth]);
    for (int depth = 1; depth < depth_of[O]; depth++)
        if (changed < kept_at[O][depth].fill) start(&kept_at[O][depth], changed);
    for (int o = I; o <= B; o++)
        for (int depth = 1; o != O && depth < depth_of[o]; depth++)
            if (changed < kept_at[o][depth].fill) fill(&kept_at[o][depth], changed);
    mac();
}

/* Every temporal iteration in turn; executed are those that are valid with all mesh digits at zero. */
static void walk(void)
{
    int changed = -1, moved = -1; /* the outermost loop that differs from the last executed iteration; from the last */
    for (int done = 0; !done;) {
        if (refresh(&mesh, moved) || moved < 0) list_lanes();
        int valid = 1;
        for (int p = 0; p < mesh.part_count; p++) valid &= mesh.parts[p].size[0] > 0;
        if (valid) {
            step(changed);
            changed = time_count;
        }
        for (moved = time_count - 1; moved >= 0 && ++digit[in_time[moved]] == loops[in_time[moved]].trips; moved--)
            digit[in_time[moved]] = 0;
        done = moved < 0;
        if (moved < changed) changed = moved;
    }
    for (int depth = depth_of[O] - 1; depth > 0; depth--) drain(&kept_at[O][depth]);
}

/* Setting up */

static void set_up_lanes(void)
{
    all_lanes = get(mesh.instances, sizeof *all_lanes);
    lanes = get(mesh.instances, sizeof *lanes);
    for (int o = I; o <= W; o++) wants[o] = get(mesh.instances, sizeof *wants[o]);
    for (int64_t i = 0; i < mesh.instances; i++)
        for (int loop = 0; loop < loop_count; loop++) {
            if (loops[loop].level < 0) continue;
            int64_t at = mesh_digit(&mesh, i, loop);
            for (int o = I; o <= B; o++) all_lanes[i].place[o] += at * innermost(o)->at[loop];
            all_lanes[i].word += at * kept_at[O][0].at[loop];
        }
}

static void set_up_all(void)
{
    int64_t most = 1, wanted = 1;
    for (int o = I; o <= B; o++) {
        seen[o] = get(words[o], sizeof *seen[o]);
        kept[o] = get(words[o], sizeof *kept[o]);
        if (depth_of[o]) set_up_operand(o);
        for (const Residence *r = kept_at[o]; r <= &kept_at[o][depth_of[o]]; r++) {
            if (r->most > most) most = r->most;
            if (r->instances * r->most > wanted) wanted = r->instances * r->most;
        }
    }
    set_up_mesh();
    set_up_lanes();
    tile = get(most, sizeof *tile);
    tile_at_parent = get(most, sizeof *tile_at_parent);
    pool = get(wanted, sizeof *pool);
    set_end = get(wanted, sizeof *set_end);
    pending = get(words[O], sizeof *pending);
    sum_length = 1;
    for (int dim = 0; dim < dim_count; dim++)
        if (!word_step[O][dim]) sum_length *= bound[dim];
    for (int64_t word = 0; word < words[O]; word++) pending[word] = sum_length;
}

/* Run a nest. `reads[o]`: the words of I, W and B, padding included; `real[o]`: which are no padding. `other[i]`: for
   every output word, which of the `other_words[i]` words of another tensor the epilogue of `steps` steps wants. Gives
   the sums, and counts [what][level][operand], then MACs, cycles, results. Returns how many words lack products. */
int64_t run(const int64_t *described, const float *const *reads, const uint8_t *const *real, int64_t steps,
            int64_t others, const int64_t *const *other, const int64_t *other_words, double *output, int64_t *counted)
{
    memset(kept_at, 0, sizeof kept_at);
    memset(&mesh, 0, sizeof mesh);
    memset(chain_length, 0, sizeof chain_length);
    memset(word_step, 0, sizeof word_step);
    memset(digit, 0, sizeof digit);
    memset(set_stamp, 0, sizeof set_stamp);
    memset(held_stamp, 0, sizeof held_stamp);
    time_count = macs = cycles = results = psum_stamp = 0;
    description = described, counters = counted;
    epilogue_steps = steps, other_count = others, other_place = other;
    for (int i = 0; i < others; i++) other_taken[i] = get(other_words[i], 1);
    for (int o = I; o <= B; o++) data[o] = reads[o], inside[o] = real[o];
    read_description();
    set_up_all();
    walk();
    int64_t lacking = 0, *totals = counted + 3 * MAX_LEVELS * OPERANDS;
    for (int64_t word = 0; word < words[O]; word++) {
        output[word] = kept_at[O][0].psums[word].value;
        lacking += pending[word] != 0 || !kept_at[O][0].psums[word].held;
    }
    totals[0] = macs, totals[1] = cycles, totals[2] = results;
    give_back();
    return lacking;
}
