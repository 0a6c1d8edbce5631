/* ---- what is linear in the logarithms of counts and trips ---- */

static int same_variables(const Plane *x, const Plane *y) {
    for (int i = 0; i < x->n; i++)
        if (x->x[i] != y->x[i] || x->sign[i] != y->sign[i]) return 0;
    return x->n == y->n;
}

/* A sum that is so much at most, each variable with its sign; -1 is none. Nothing is added that the limits, or another one, say. */
static void add_plane(Program *p, double most, int n, const int *x, const int *sign) {
    int number = p->asked++;
    if (p->nplanes == MAXI) return;
    Plane *plane = &p->plane[p->nplanes];
    double largest = 0;
    plane->n = 0;
    for (int i = 0; i < n; i++) {
        if (x[i] < 0) continue;
        double low = sign[i] * p->low[x[i]], high = sign[i] * p->high[x[i]];
        largest += larger(low, high);
        if (low == high) most -= low, largest -= low;
        else plane->x[plane->n] = x[i], plane->sign[plane->n++] = sign[i];
    }
    plane->most = most, plane->number = number;
    if (!plane->n || largest <= most) return;
    for (int i = p->begin[plane->x[0]]; i >= 0; i = p->plane[i].next)
        if (same_variables(&p->plane[i], plane)) return (void)(p->plane[i].most = smaller(p->plane[i].most, most));
    plane->next = p->begin[plane->x[0]];
    p->begin[plane->x[0]] = p->nplanes++;
}

/* A dim, of which `size` is the logarithm, is no more than x times y times trips. */
static void add_cover(Program *p, const S *s, int d, double size, int x, int y, int axes) {
    int var[MAXA + 2] = {x, y}, sign[MAXA + 2] = {-1, -1}, n = 2;
    for (int a = 0; a < s->A; a++)
        if (axes >> a & 1) var[n] = p->trips[d][a], sign[n++] = -1;
    add_plane(p, -size, n, var, sign);
}

/* x <= y times trips, and times what `more` is the logarithm of. */
static void add_within(Program *p, const S *s, int d, int x, int y, int axes, double more) {
    int var[MAXA + 2] = {x, y}, sign[MAXA + 2] = {1, -1}, n = 2;
    for (int a = 0; a < s->A; a++)
        if (axes >> a & 1) var[n] = p->trips[d][a], sign[n++] = -1;
    add_plane(p, more, n, var, sign);
}

/* No trips of some axes are more than a count. */
static void add_trips_within(Program *p, const S *s, int d, int axes, int count) {
    for (int a = 0; a < s->A; a++)
        if (axes >> a & 1 && p->trips[d][a] >= 0) add_within(p, s, d, p->trips[d][a], count, 0, 0);
}

/* Events, tiles and trips cover a dim. */
static void plane_covers(Program *p, const S *s, const Form *form, int d) {
    const int *var = p->count[d];
    double size = log(form->D);
    for (int i = 0; i < form->ncounts; i++) {
        const Count *c = &form->count[i];
        if (c->tile && c->what == DIGITS) {
            if (!c->boundary) add_cover(p, s, d, size, var[i], -1, c->axes);
            add_trips_within(p, s, d, form->usable & ~c->axes, var[i]);
        }
        if (c->tile || c->what == BORDER) continue;
        for (int r = form->covered[i]; r < form->covered[i + 1]; r++)
            add_cover(p, s, d, size, var[i], var[form->covers[r].y], form->covers[r].axes);
        if (c->boundary == form->K) add_cover(p, s, d, size, var[i], -1, form->usable & ~c->axes);
        add_trips_within(p, s, d, c->axes, var[i]);
    }
}

/* Tiles are within tiles, events within events. */
static void plane_relations(Program *p, const S *s, const Form *form, const Box *box, int d) {
    const int *var = p->count[d];
    for (int r = 0; r < form->ntiles; r++) add_within(p, s, d, var[form->tiles[r].x], var[form->tiles[r].y], form->tiles[r].axes, 0);
    for (int r = 0; r < form->nevents; r++) {
        const Relation *e = &form->events[r];
        int holds = !e->only || most_trips(s, form, box, d, e->only) <= 1;
        add_within(p, s, d, var[e->x], var[e->y], e->axes, holds ? 0 : INFINITY);
    }
}

/* A tile of an inner dim has so many indices of each residue at most. */
static void plane_residues(Program *p, const S *s, const Form *form, int d) {
    double alike = log(up(inner_bound(s, form->win), least_residues(s, form->win)));
    for (int i = 0; i < form->ncounts; i++) {
        const Count *x = &form->count[i];
        if (x->what != RESIDUES || !x->tile) continue;
        for (int k = 0; k < form->ncounts; k++) {
            const Count *y = &form->count[k];
            if (y->tile && y->what == DIGITS && y->boundary == x->boundary && y->axes == x->axes)
                add_within(p, s, d, p->count[d][k], p->count[d][i], 0, alike);
        }
    }
}

/* The trips of all dims fit an axis. */
static void plane_axes(Program *p, const S *s) {
    for (int a = 0; a < s->A; a++) {
        int x[MAXD], sign[MAXD], n = 0;
        for (int d = 0; d < s->D && n < MAXA + 4; d++)
            if (p->trips[d][a] >= 0) x[n] = p->trips[d][a], sign[n++] = 1;
        if (n) add_plane(p, log(s->size[a]), n, x, sign);
    }
}

/* Of square images. */
static void plane_mirror(Program *p, const Boxes *q) {
    int d = q->plan->tied / MAXV, i = q->plan->tied % MAXV;
    if (q->plan->tied >= 0) add_within(p, q->s, d, p->count[d][i], p->count[q->s->mirror[d]][i], 0, 1);
}

static void make_planes(Program *p, const Boxes *q, const Box *box) {
    p->nplanes = p->asked = 0;
    for (int v = 0; v < p->n; v++) p->begin[v] = -1;
    for (int d = 0; d < q->s->D; d++) {
        const Form *form = &q->form[d];
        if (form->D == 1) continue;
        plane_covers(p, q->s, form, d);
        plane_relations(p, q->s, form, box, d);
        if (form->inner) plane_residues(p, q->s, form, d);
    }
    plane_axes(p, q->s);
    plane_mirror(p, q);
}
