/* ---- every schedule of a placement for itself: nothing stands for anything else; see docs/search.md, "One by one" ---- */

/* A group's rows with loops in all segments, as far as they do not cost too much. */
static Table *each_row(S *s, int setting, int group, const int *order) {
    Table *table = calloc(1, sizeof *table);
    table->setting = setting, table->group = group;
    table->slack = s->best - s->setting[setting].floor;
    for (int d = 0; d < s->gdims[group]; d++) {
        Chains *c = table->chains[d] = calloc(1, sizeof *c);
        c->dim = s->gdim[group][d], c->setting = setting, c->side = d;
        c->slack = table->slack;
        slots_of(s, &s->setting[setting], order, c->dim, EVERYWHERE, 0, 0, &c->slots);
        table->slots[d] = c->slots;
    }
    build(s, table);
    return table;
}

static void forget(const S *s, Table *table) {
    for (int d = 0; d < s->gdims[table->group]; d++) {
        free(table->chains[d]->trips);
        free(table->chains[d]->factor);
        free(table->chains[d]);
        free(table->chain[d]);
    }
    if (s->gdims[table->group] < 2) free(table->chain[1]);
    free(table->row);
    free(table);
}

/* What the rows left of the other groups have of a term at least. Rows that stand for others have no more words than these, and
 * as many iterations; but loops may stand further out, so that of loops outside marks nothing is known.
 */
static double least_of_others(const Search *q, int j, int depth) {
    const Setting *t = q->t;
    double least = 1;
    for (int m = 0; m < t->nmarks; m++)
        if (j == t->events[m]) return 1;
    for (int d = 0; d < q->G && t->term[j].kind != BETWEEN; d++)
        if (d != depth) least *= q->gl[d][j];
    return least;
}

/* Once rows that stand for others were filtered: each schedule costs at least what theirs have at least. */
static void search_each(Search *q, Placement *p) {
    S *s = q->s;
    Setting *t = &s->setting[p->setting];
    Placement stands = *p;
    Search each;
    double rest[MAXG][MAXJ];
    int none = 0;
    memcpy(rest, t->rest, sizeof rest);
    for (int d = 0; d < q->G; d++)
        for (int j = 0; j < q->J; j++) t->rest[q->order[d]][j] = least_of_others(q, j, d);
    s->each = 1;
    place_marks(t, p->order);
    for (int g = 0; g < s->G; g++) {
        p->table[g] = each_row(s, p->setting, g, p->order);
        none |= !p->table[g]->n;
    }
    begin(&each, s, p);
    for (int d = 0; d < q->G; d++) extremes(&each, d);
    if (!none && !s->stopped && filter(&each) < INFINITY) search_rows(&each);
    finish(&each);
    s->each = 0;
    for (int g = 0; g < s->G; g++) forget(s, p->table[g]);
    memcpy(p->table, stands.table, sizeof p->table);
    memcpy(t->rest, rest, sizeof rest);
}

/* ---- a placement ---- */

/* Finds the extremes of all groups, and two of them that can be separated, which come last. */
static void survey(Search *q) {
    for (int d = 0; d < q->G; d++) extremes(q, d);
    for (int b = q->G - 1; b > 0 && !q->separable && steady(q->s); b--)
        for (int a = b - 1; a >= 0 && !q->separable; a--)
            if (separable(q, a, b)) {
                q->separable = 1;
                for (int k = b; k + 1 < q->G; k++) swap_groups(q, k, k + 1);
                for (int k = a; k + 2 < q->G; k++) swap_groups(q, k, k + 1);
            }
}

static void search_placement(S *s, Placement *p, int deep) {
    Search q;
    begin(&q, s, p);
    survey(&q);
    p->bound = filter(&q);
    if (deep && p->bound < INFINITY) s->every ? search_each(&q, p) : search_rows(&q);
    finish(&q);
}
