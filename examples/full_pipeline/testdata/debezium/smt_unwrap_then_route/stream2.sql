truncate f;
insert into f values (9,'t');
update f set id=10 where id=9;
delete from f;
