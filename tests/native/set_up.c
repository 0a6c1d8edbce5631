/* Sets up what the stepper walks through, from a description of nest, schedule and target as numbers. */

static const int64_t *description; /* what is left of it to read */

static void read_operand_description(int o)
{
    words[o] = 1;
    axis_count[o] = *description++;
    for (Axis *axis = axes[o]; axis < axes[o] + axis_count[o]; axis++) {
        axis->step = *description++, axis->extent = *description++, axis->dim_count = *description++;
        words[o] *= axis->extent;
        for (int d = 0; d < axis->dim_count; d++) {
            axis->dims[d] = *description++;
            word_step[o][axis->dims[d]] = axis->step * *description++;
        }
    }
    depth_of[o] = *description++;
    for (Residence *r = kept_at[o]; r < kept_at[o] + depth_of[o]; r++) {
        r->level = *description++;
        for (int64_t mark = *description++; r->fixed < time_count && in_time[r->fixed] < mark;) r->fixed++;
    }
}

static void read_description(void)
{
    level_count = *description++;
    for (int level = 0; level < level_count; level++)
        has_fanout[level] = *description++, stores_padding[level] = *description++, slides[level] = *description++;
    dim_count = *description++;
    for (int dim = 0; dim < dim_count; dim++) bound[dim] = *description++;
    loop_count = *description++;
    for (int loop = 0; loop < loop_count; loop++) {
        Loop *l = &loops[loop];
        l->dim = *description++, l->level = *description++, l->multicast = *description++;
        l->step = *description++, l->trips = *description++;
        chain[l->dim][chain_length[l->dim]++] = loop;
        if (l->level < 0 && l->trips > 1) in_time[time_count++] = loop;
    }
    for (int o = I; o <= B; o++) read_operand_description(o);
}

/* Whether a loop of the dim has a last tile that is smaller. */
static int is_ragged(int dim)
{
    int64_t extent = bound[dim];
    for (int i = 0; i < chain_length[dim]; extent = loops[chain[dim][i++]].step)
        if (extent % loops[chain[dim][i]].step) return 1;
    return 0;
}

/* The axis over these dims, or a dim that is not relevant. */
static void add_part(Residence *r, const int *dims, int count, int relevant, int64_t extent)
{
    Part *part = &r->parts[r->part_count++];
    part->relevant = relevant;
    part->combinations = part->most = 1;
    part->last = -1;
    for (; part->dim_count < count; part->dim_count++) {
        int dim = part->dims[part->dim_count] = dims[part->dim_count];
        part->has_dim[dim] = 1;
        for (int t = 0; t < r->fixed; t++)
            if (loops[in_time[t]].dim == dim && (relevant || is_ragged(dim)) && t > part->last) part->last = t;
    }
    part->combination = get(r->instances, sizeof *part->combination);
    for (int loop = loop_count - 1, weight = 1; loop >= 0; loop--) {
        if (!part->has_dim[loops[loop].dim]) continue;
        if (!r->is_fixed[loop] && relevant) part->most *= loops[loop].trips;
        if (!is_mesh_digit(r, loop)) continue;
        part->combinations *= loops[loop].trips;
        for (int64_t i = 0; i < r->instances; i++) part->combination[i] += mesh_digit(r, i, loop) * weight;
        weight *= loops[loop].trips;
    }
    if (part->most > extent) part->most = extent;
    r->most *= part->most;
    part->size = get(part->combinations, sizeof *part->size);
    part->here = get(part->combinations * part->most, sizeof *part->here);
    part->there = get(part->combinations * part->most, sizeof *part->there);
}

static int by_group(const void *a, const void *b)
{
    const int64_t *x = a, *y = b; /* group, set, instance */
    for (int i = 0; i < 3; i++)
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    return 0;
}

/* The instances that one read of the parent may serve stand together. */
static void sort_instances(Residence *r)
{
    int64_t(*keys)[3] = get(r->instances, sizeof *keys);
    r->order = get(r->instances, sizeof *r->order);
    r->group = get(r->instances, sizeof *r->group);
    r->set = get(r->instances, sizeof *r->set);
    for (int64_t instance = 0; instance < r->instances; instance++) {
        int64_t *key = keys[instance];
        key[2] = instance;
        for (int loop = 0; loop < loop_count; loop++) {
            const Loop *l = &loops[loop];
            if (!is_mesh_digit(r, loop) || (l->level >= r->parent->level && l->multicast == WORDS)) continue;
            int k = l->level < r->parent->level || l->multicast == NONE ? 0 : 1;
            key[k] = key[k] * l->trips + mesh_digit(r, instance, loop);
        }
    }
    qsort(keys, r->instances, sizeof *keys, by_group);
    for (int64_t k = 0; k < r->instances; k++) {
        r->shared |= k && keys[k][0] == keys[k - 1][0];
        r->group[k] = keys[k][0];
        r->set[k] = keys[k][1];
        r->order[k] = keys[k][2];
    }
}

/* Partial sums lie instance by instance, those of a tile by its free digits. */
static void place_psums(Residence *r)
{
    int64_t places = 1;
    for (int loop = loop_count - 1; r->level > 0 && loop >= 0; loop--) {
        r->at[loop] = 0;
        if (r->is_fixed[loop] || !word_step[O][loops[loop].dim]) continue;
        r->at[loop] = places;
        places *= loops[loop].trips;
    }
    for (int loop = loop_count - 1; loop >= 0; loop--) {
        if (!is_mesh_digit(r, loop)) continue;
        r->at[loop] = places;
        places *= loops[loop].trips;
    }
    r->psum_count = r->level > 0 ? places : words[O];
    r->psums = get(r->psum_count, sizeof *r->psums);
}

/* Everything that a residence has from the start; its parent has it already. */
static void set_up(Residence *r)
{
    int o = r->operand;
    r->instances = r->most = 1;
    for (int loop = 0; loop < loop_count; loop++) {
        r->is_fixed[loop] = is_mesh_digit(r, loop);
        if (r->is_fixed[loop]) r->instances *= loops[loop].trips;
        r->at[loop] = loops[loop].step * word_step[o][loops[loop].dim];
    }
    for (int t = 0; t < r->fixed; t++) {
        r->is_fixed[in_time[t]] = 1;
        if (word_step[o][loops[in_time[t]].dim]) r->fill = t + 1;
    }
    if (r->level == 0 || r->level == level_count) return;
    for (const Axis *axis = axes[o]; axis < axes[o] + axis_count[o]; axis++)
        if (axis->dim_count) add_part(r, axis->dims, axis->dim_count, 1, axis->extent);
    for (int dim = 0; dim < dim_count; dim++)
        if (!word_step[o][dim]) add_part(r, &dim, 1, 0, 1);
    if (o == O || !slides[r->level]) return;
    r->held = get(r->instances * r->most, sizeof *r->held);
    r->held_count = get(r->instances, sizeof *r->held_count);
}

/* Every residence of an operand, the MACs too. */
static void set_up_operand(int o)
{
    kept_at[o][depth_of[o]].level = level_count;
    for (int depth = 0; depth <= depth_of[o]; depth++) {
        Residence *r = &kept_at[o][depth];
        r->operand = o;
        r->parent = depth ? r - 1 : NULL;
        set_up(r);
        if (o == O) place_psums(r);
        else if (depth) sort_instances(r);
    }
}

/* All MACs: a part for every dim. */
static void set_up_mesh(void)
{
    mesh.level = level_count;
    mesh.fixed = time_count;
    mesh.operand = E; /* none */
    set_up(&mesh);
    for (int dim = 0; dim < dim_count; dim++) add_part(&mesh, &dim, 1, 0, 1);
}
