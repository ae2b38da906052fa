"""Who is who: decides which source records are the same person or organisation, with stable ids."""
