"""SQL databases: tables and views as streams, whatever SQLAlchemy has a dialect for."""
