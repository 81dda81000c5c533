"""What a call of `fit` that is refused leaves behind: nothing."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from portable_nn import schedules
from portable_nn.training.callbacks import Callback, Training

__all__ = ["end", "unchanged_if_refused"]


@contextmanager
def unchanged_if_refused(trainer: Training) -> Generator[list[Callback]]:
    """Undo what is done within if an error ends it: to trainer, network, loss, optimizer and schedule.

    Yields a list for the callbacks that have been started. They are told of the end first, so that whatever they put
    into the network then is undone, too.
    """
    network, optimizer, started = trainer.network, trainer.optimizer, list[Callback]()
    losses = [network.criterion, *(loss for loss, _ in network.criterion.by_name().values())]
    options = [dict(vars(loss)) for loss in losses]
    history, validates, epochs = trainer.history, trainer.validates, trainer.epochs
    arrays, position = network.arrays(), network.stream.position
    slots, steps, scale = dict(optimizer.state), optimizer.steps, optimizer.lr_scale
    thawed = dict(optimizer.thawed)
    schedule, observed = optimizer.schedule, schedules.state_of(optimizer.schedule)
    try:
        yield started
    except BaseException:
        try:
            end(started, trainer)
        finally:
            trainer.history, trainer.validates, trainer.epochs = history, validates, epochs
            network.set_arrays(arrays)
            network.stream.position = position
            for loss, of_one in zip(losses, options, strict=True):
                for name, option in of_one.items():
                    setattr(loss, name, option)
            optimizer.state, optimizer.steps, optimizer.lr_scale = slots, steps, scale
            optimizer.thawed = thawed
            schedules.restore(schedule, observed)
        raise


def end(watchers: Sequence[Callback], trainer: Training) -> None:
    """Tell callbacks, in order, that training has ended: all of them, also if one raises."""
    if watchers:
        try:
            watchers[0].on_end(trainer)
        finally:
            end(watchers[1:], trainer)
