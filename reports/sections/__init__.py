"""What each document says, section by section, before any form: the model, and one module a document or part of it."""
