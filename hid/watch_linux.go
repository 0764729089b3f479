package hid

import "context"

// changes returns a channel of capacity 1 that gets a value whenever a key may have come, gone or changed. It is
// subscribed to when changes returns, until ctx is done, and then closed when nothing is left of the subscription.
func changes(ctx context.Context) (<-chan struct{}, error) { return poll(ctx, pollInterval), nil }
