/* ---- whether chains that are being built may be of use: what they cost, and which others are as good ---- */

/* What a fan-out that is not placed yet may have inside it at best. */
static void open_fanouts(Ragged *r, int left) {
    int inside = r->K;
    for (int i = 0; i < r->n; i++)
        if (r->station[i] < AXIS) inside = r->station[i];
    for (int f = 0; f < r->q->s->F; f++)
        if (left >> f & 1) r->low[f] = -1, r->high[f] = inside;
        else if (!(r->fans >> f & 1)) r->low[f] = -1, r->high[f] = r->K;
}

/* Whether a chain has no count above those in `value`; then what it leaves open of the segments of the fan-outs remains. */
static int rivals(const Ragged *r, const int *x, int *open, int *left) {
    int several = r->fans & (r->fans - 1);
    for (int k = 0; k < r->form->ncounts; k++)
        if (x[k] > r->value[k]) return 0;
    *left = 0;
    for (int f = 0; f < r->q->s->F; f++) {
        int rest = open[f] & ~segments_of_row(r->q, r->d, x, f);
        if (!several && r->fans >> f & 1) open[f] = rest; /* what one chain leaves open another may have */
        *left |= rest;
    }
    return 1;
}

/* Whether chains found are as good as any with the counts in `value`, wherever the fan-outs of that may stand. */
static int dominated(const Ragged *r) {
    int open[MAXF], left;
    for (int f = 0; f < r->q->s->F; f++) {
        open[f] = segments(r->q->t, r->form, r->low[f], r->high[f]) & r->wanted[f];
        if (!open[f]) return 1;
    }
    for (int i = 0; i < r->nrivals; i++)
        if (rivals(r, r->rival[i], open, &left) && !left) return 1;
    for (int i = r->first; i < r->rows->n; i++)
        if (rivals(r, r->rows->value + (size_t)i * r->rows->width, open, &left) && !left) return 1;
    return 0;
}

/* What the dim makes of a term; of a window with what the other dim makes of it at least. */
static double factor_of(const Ragged *r, int j) {
    const Form *form = r->form;
    const Term *x = &r->q->t->term[j];
    if (form->of[j] < 0) return 1;
    if (r->q->s->class[x->operand][r->d] != WINDOW) return r->value[form->of[j]];
    int o = form->win->dim[!form->inner], outer = form->win->dim[0];
    const int *other = r->box->low[o < 0 ? 0 : o];
    double instances = instances_of(r->q, r->box, j, o);
    if (x->kind == BUSIEST) instances *= trips_on(r, spread(r->q->s, x, r->d), 0);
    return form->inner ? window_words(r->q, j, outer, other, r->value, instances)
                       : window_words(r->q, j, outer, r->value, other, instances);
}

static double cost_of(const Ragged *r) {
    double sum = r->rest, z[MAXJ];
    if (r->q->s->timed) {
        for (int j = 0; j < r->q->t->nterms; j++) z[j] = r->base[j] * factor_of(r, j);
        return timed_cost(r->q->s, r->q->t, r->q->plan->order, z);
    }
    for (int j = 0; j < r->q->t->nterms; j++)
        if (r->base[j] > 0) sum += r->base[j] * factor_of(r, j);
    return sum;
}

static int too_dear(Ragged *r) {
    int dear = cost_of(r) > r->q->most;
    r->priced |= dear;
    return dear;
}

enum { WORTH = 0, HOPELESS, TOO_FAR };

/* Whether no chain that continues the loops placed is of use; TOO_FAR: nor would any whose last loop extends further. */
static int hopeless(Ragged *r, int extent, int left) {
    const Form *form = r->form;
    int64_t *discarded = r->q->s->discarded;
    r->above = -1;
    for (int i = 0; i < form->ncounts; i++) {
        r->value[i] = most_of(count_at_least(r, i, extent), r->box->low[r->d][i]);
        if (r->value[i] <= r->box->high[r->d][i]) continue;
        discarded[LARGE]++;
        if (!form->count[i].tile && form->count[i].what != BORDER) r->above = i;
        return count_so_far(r, i, extent) > r->box->high[r->d][i] ? TOO_FAR : HOPELESS;
    }
    for (int i = 0; i < form->ncounts; i++) {
        if (form->count[i].tile) continue;
        r->value[i] = most_of(count_so_far(r, i, extent), r->value[i]);
        if (r->value[i] > r->box->high[r->d][i]) return discarded[LARGE]++, TOO_FAR;
        if (form->count[i].what != DIGITS) continue;
        int64_t least = wasteful_events(r, i, extent);
        if (least > r->box->high[r->d][i]) return discarded[LARGE]++, HOPELESS;
        r->value[i] = most_of(r->value[i], (int)least);
    }
    open_fanouts(r, left);
    if (too_dear(r)) return discarded[COSTLY]++, HOPELESS;
    return dominated(r) ? discarded[DOMINATED]++, HOPELESS : WORTH;
}

/* The chains known that are of use: those of the box with these trips, and those that may be as good as some. */
static void meet(Ragged *r) {
    const Rows *known = &r->q->plan->known[r->d];
    int C = r->form->ncounts, A = r->q->s->A;
    r->nrivals = 0;
    for (int i = known->n - 1; i >= 0; i--) {
        const int *x = known->value + (size_t)i * known->width;
        int more = 0, same = !memcmp(x + C, r->trips, sizeof(int) * A), at = where(r->q, r->box, r->d, x);
        for (int a = 0; a < A; a++) more |= x[C + a] > r->trips[a];
        if (more || at == ELSEWHERE || (!same && r->form->shared)) continue;
        if (at == BELOW || !same) {
            if (r->nrivals < MOST_RIVALS) r->rival[r->nrivals++] = x;
            continue;
        }
        memcpy(r->value, x, sizeof(int) * C);
        for (int f = 0; f < r->q->s->F; f++) r->low[f] = x[C + A + 2 * f], r->high[f] = x[C + A + 2 * f + 1];
        if (!too_dear(r) && !dominated(r)) add_row(r->rows, x);
    }
}
