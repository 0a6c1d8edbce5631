/* ---- chains of one dim of a coupled group: drop those that another dominates whatever the other dim does ---- */

static int window_columns(const S *s, const Setting *t, int column, int w, int side) {
    int own = column < t->nterms && t->term[column].kind == BUSIEST; /* the more instances, the less is left to one */
    if (s->relaxed) return (column < t->nterms && t->term[column].slide ? 2 : 1) + own; /* words grow with the pieces */
    if (s->fanout) return 2; /* chains are compared with those of the same shape */
    return s->win[w].nd[1 - side] + own;
}

static void window_column(const S *s, const Setting *t, int column, int w, int side, int f, int own, double *out) {
    int n = window_columns(s, t, column, w, side);
    if (column < t->nterms && t->term[column].kind == BUSIEST) out[--n] = -own;
    for (int o = 0; o < n; o++)
        out[o] = s->fanout    ? o ? -f : f
                 : s->relaxed ? (o ? f >> PACK : f & LOW)
                 : side     ? window_value(s, t, column, w, o, f)
                            : window_value(s, t, column, w, f, o);
}

static int varying(const double *row, int n, int stride, int width, int *columns) {
    int used = 0;
    for (int k = 0; k < width; k++) {
        int varies = 0;
        for (int i = 1; i < n && !varies; i++) varies = row[(size_t)i * stride + k] != row[k];
        if (varies) columns[used++] = k;
    }
    return used;
}

static void prune_chains(S *s, const Setting *t, Chains *c, int group, int side) {
    int J = t->nterms, M = t->nmarks, K = c->slots.nslots, C = J + M, F = factors(s, t), n = 0, stride = s->A;
    int windowed[WIDTH];
    for (int k = 0; k < C; k++) {
        int operand = k < J ? t->term[k].operand : t->operand[k - J];
        windowed[k] = s->class[operand][c->dim] == WINDOW ? window_of(s, t, k, group) : -1;
        stride += windowed[k] >= 0 ? window_columns(s, t, k, windowed[k], side) : 1;
    }
    double *row = malloc(sizeof(double) * (c->n + 1) * stride);
    int *columns = malloc(sizeof(int) * stride), *keep = malloc(sizeof(int) * (c->n + 1));
    for (int i = 0; i < c->n; i++) {
        const int *f = c->factor + i * F;
        double *at = row + (size_t)i * stride;
        for (int k = 0; k < C; k++) {
            if (windowed[k] >= 0) {
                window_column(s, t, k, windowed[k], side, f[k], k < J && s->timed ? f[C + k] : 1, at);
                at += window_columns(s, t, k, windowed[k], side);
            } else
                *at++ = (k < J && t->term[k].coefficient < 0 ? -1.0 : 1.0) * f[k];
        }
        for (int a = 0; a < s->A; a++) *at++ = c->trips[i * (K + s->A) + K + a];
    }
    undominated(s, row, c->n, stride, columns, varying(row, c->n, stride, stride, columns), keep);
    for (int i = 0; i < c->n; i++)
        if (keep[i]) {
            memmove(c->trips + n * (K + s->A), c->trips + i * (K + s->A), sizeof(int) * (K + s->A));
            memmove(c->factor + n * F, c->factor + i * F, sizeof(int) * F);
            n++;
        }
    s->discarded[DOMINATED] += c->n - n;
    c->n = n;
    free(row);
    free(columns);
    free(keep);
}

static void list_chains(S *s, Chains *c) {
    Enumerate e = {s, &s->setting[c->setting], c, {0}, 0};
    if (s->relaxed) relax(e);
    else enumerate(&e, 0, s->bound[c->dim]);
}

static void measure(S *s, Chains *c) {
    c->measuring = 1;
    c->limit = INFINITY;
    c->n = 0;
    list_chains(s, c);
    c->excess = c->limit;
    s->partial |= s->stopped > 0;
    c->measuring = 0;
}

static int same_slots(const Slots *x, const Slots *y) {
    return x->nslots == y->nslots && !memcmp(x->outside, y->outside, sizeof x->outside);
}

static int windowed(const S *s, int dim) {
    for (int o = 0; o < s->O; o++)
        if (s->class[o][dim] == WINDOW) return 1;
    return 0;
}

/* The chains of a dim with given slots; not listed yet, but measured. */
static Chains *chains_of(S *s, int setting, int dim, const Slots *slots, int side) {
    dim = s->dkind[dim];
    if (!windowed(s, dim)) setting = s->setting[setting].family;
    for (int i = 0; i < s->nlists; i++) {
        Chains *x = s->lists[i];
        if (x->dim == dim && x->setting == setting && same_slots(&x->slots, slots)) return x;
    }
    Chains *c = calloc(1, sizeof *c);
    c->dim = dim;
    c->setting = setting;
    c->side = side;
    c->slots = *slots;
    measure(s, c);
    if (s->nlists == s->clists) s->lists = realloc(s->lists, sizeof(Chains *) * (s->clists = 2 * s->clists + 64));
    return s->lists[s->nlists++] = c;
}

static void build_chains(S *s, Chains *c) {
    if (c->built) return;
    c->built = 1;
    c->n = 0;
    c->limit = c->excess + c->slack;
    free(c->trips);
    free(c->factor);
    c->trips = c->factor = NULL;
    list_chains(s, c);
    if (!s->stopped && !s->each) prune_chains(s, &s->setting[c->setting], c, s->group[c->dim], c->side);
}

/* ---- tables: the undominated rows of a group ---- */

/* The factors, tiles and instances of a pair of chains; returns FINE, or that they do not fit or cost more than `limit`. */
static int fill_row(const S *s, const Setting *t, int group, Chains *const *c, const int *i, double limit,
                    double *row) {
    int J = t->nterms, M = t->nmarks, C = J + M, F = factors(s, t), n = s->gdims[group];
    for (int k = 0; k < C; k++) {
        int w = window_of(s, t, k, group), operand = k < J ? t->term[k].operand : t->operand[k - J];
        double value = 1;
        int at[2] = {0, 0};
        for (int d = 0; d < n; d++) {
            const int *f = c[d]->factor + i[d] * F;
            int kind = s->class[operand][s->gdim[group][d]];
            if (w >= 0 && kind == WINDOW) {
                at[d] = f[k];
                if (k < J && s->timed) value /= f[C + k];
            } else
                value *= f[k];
        }
        if (w >= 0 && !(k < J && t->term[k].kind == EVENTS)) value *= window_value(s, t, k, w, at[0], at[1]);
        row[k] = value;
    }
    for (int a = 0; a < s->A; a++) {
        row[C + a] = 1;
        for (int d = 0; d < n; d++) {
            int K = c[d]->slots.nslots;
            row[C + a] *= c[d]->trips[i[d] * (K + s->A) + K + a];
        }
        if (row[C + a] > s->size[a]) return LARGE;
    }
    for (int k = 0; k < t->ncaps; k++) {
        double sum = 0;
        for (int m = 0; m < M; m++)
            if (t->held[k] >> m & 1) sum += t->weight[m] * row[J + m];
        if (sum > t->limit[k]) return LARGE;
    }
    double excess = 0;
    if (s->timed) {
        double z[MAXJ];
        for (int j = 0; j < J; j++) z[j] = t->rest[group][j] * row[j];
        return timed_cost(s, t, NULL, z) - t->floor <= limit ? FINE : COSTLY;
    }
    for (int j = 0; j < J; j++) {
        if (t->base[group][j] == -INFINITY) return FINE;
        excess += t->base[group][j] * (row[j] - t->least[group][j]);
    }
    return excess <= limit ? FINE : COSTLY;
}

static void build(S *s, Table *table) {
    const Setting *t = &s->setting[table->setting];
    int g = table->group, n = s->gdims[g], W = width(s, t), J = t->nterms, capacity = 0, raw = 0;
    double *row = NULL;
    int *index = NULL, i[2];
    if (table->built) return;
    table->built = 1;
    for (int d = 0; d < n; d++) build_chains(s, table->chains[d]);
    free(table->row);
    free(table->chain[0]);
    free(table->chain[1]);
    int second = n > 1 ? table->chains[1]->n : 1;
    for (i[0] = 0; i[0] < table->chains[0]->n && !s->stopped; i[0]++)
        for (i[1] = 0; i[1] < second && !spent(s); i[1]++) {
            if (raw == capacity) {
                capacity = capacity ? 2 * capacity : 256;
                row = realloc(row, sizeof(double) * capacity * W);
                index = realloc(index, sizeof(int) * capacity * 2);
            }
            int found = fill_row(s, t, g, table->chains, i, table->excess + table->slack, row + (size_t)raw * W);
            if (found != FINE) {
                s->discarded[found]++;
                continue;
            }
            memcpy(index + raw * 2, i, sizeof i);
            raw++;
        }
    if (s->stopped) raw = 0;
    int columns[WIDTH], nc = varying(row, raw, W, W, columns), *keep = malloc(sizeof(int) * (raw + 1));
    for (int r = 0; r < raw; r++)
        for (int j = 0; j < J; j++)
            if (t->term[j].coefficient < 0) row[(size_t)r * W + j] *= -1;
    if (n > 1 && !s->each) undominated(s, row, raw, W, columns, nc, keep);
    else
        for (int r = 0; r < raw; r++) keep[r] = 1;
    for (int r = 0; r < raw; r++)
        for (int j = 0; j < J; j++)
            if (t->term[j].coefficient < 0) row[(size_t)r * W + j] *= -1;
    int kept = 0;
    for (int r = 0; r < raw; r++)
        if (keep[r]) {
            if (kept != r) memcpy(row + (size_t)kept * W, row + (size_t)r * W, sizeof(double) * W);
            memcpy(index + kept * 2, index + r * 2, 2 * sizeof(int));
            kept++;
        }
    free(keep);
    s->discarded[DOMINATED] += raw - kept;
    table->n = kept;
    table->row = row;
    table->chain[0] = malloc(sizeof(int) * (kept + 1));
    table->chain[1] = malloc(sizeof(int) * (kept + 1));
    for (int r = 0; r < kept; r++)
        for (int d = 0; d < 2; d++) table->chain[d][r] = index[r * 2 + d];
    free(index);
}

/* The table of a group for an order of marks; not built yet. */
static Table *table_of(S *s, int setting, int group, const int *order) {
    const Setting *t = &s->setting[setting];
    Table y, *x;
    memset(&y, 0, sizeof y);
    group = s->gkind[group];
    int moves = 0;
    for (int d = 0; d < s->gdims[group]; d++) {
        slots_of(s, t, order, s->gdim[group][d], 0, 0, 0, &y.slots[d]);
        moves |= windowed(s, s->gdim[group][d]);
    }
    y.setting = moves ? setting : t->family;
    y.group = group;
    for (int i = 0; i < s->ntables; i++) {
        x = s->tables[i];
        int same = x->setting == y.setting && x->group == group;
        for (int d = 0; d < s->gdims[group] && same; d++) same = same_slots(&x->slots[d], &y.slots[d]);
        if (same) return x;
    }
    for (int d = 0; d < s->gdims[group]; d++) {
        y.chains[d] = chains_of(s, y.setting, s->gdim[group][d], &y.slots[d], d);
        y.excess = s->timed ? larger(y.excess, y.chains[d]->excess) : y.excess + y.chains[d]->excess;
    }
    x = malloc(sizeof *x);
    *x = y;
    if (s->ntables == s->ctables) s->tables = realloc(s->tables, sizeof(Table *) * (s->ctables = 2 * s->ctables + 64));
    return s->tables[s->ntables++] = x;
}
