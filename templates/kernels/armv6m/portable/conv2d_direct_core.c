/* SPDX-License-Identifier: 0BSD */
/* conv2d_direct for Cortex-M0+: four sums of products, in plain C for tests on the host. */
#include "mbn_armv6m.h"

void mbn_add_products_armv6m(mbn_dots_armv6m *d)
{
    for (int32_t k = d->left; k < 0; k++) {
        for (int32_t i = 0; i < 4; i++) {
            d->sum[i] += d->many[i][k] * d->one[k];
        }
    }
}
