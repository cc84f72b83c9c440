"""From finished training images to what trainers read. The rooms are told apart in docs/exports.md."""
